sleep 77 & p=$!; sleep 1
ps -o pid,ppid,args | awk -v p=$p -v me=$$ '$1 == p { print ($2 == me), $3, $4 }'; ps | head -1 | awk '{ print $1 }'
kill $p; wait $p 2>/dev/null; echo "status $?"; ps -o pid | grep -c "^ *$p\$"
