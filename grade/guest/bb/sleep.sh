sleep 0; echo "status $?"; sleep 0.1; echo "status $?"; sleep x; echo "status $?"; sleep 5 & p=$!; kill $p; wait $p; echo "status $?"; timeout 1 sleep 10; echo "status $?"
