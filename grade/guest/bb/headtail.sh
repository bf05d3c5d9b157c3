seq 1 100 > f
head -3 f; tail -3 f; head -c 10 f; echo; tail -c 8 f; tail -n +98 f; head -n -97 f; seq 1 100000 | head -2; yes | head -3; head -1 f nowhere; echo "status $?"; seq 1 100000 | tail -1
