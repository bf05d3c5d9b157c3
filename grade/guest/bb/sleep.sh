sleep 0; echo "status $?"; sleep 0.1; echo "status $?"; sleep x; echo "status $?"; sleep 5 & p=$!; kill $p; wait $p 2>/dev/null; echo "status $?"; timeout 1 sleep 10; echo "status $?"
