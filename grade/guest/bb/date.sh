TZ=UTC0; export TZ
date -u -d '@0'; date -u -d '@1700000000' '+%Y-%m-%d %H:%M:%S %j %a'; date -d '2024-02-29 12:34:56' +%s; date +%Y | grep -c '^20[2-9][0-9]$'; date -d nonsense; echo "status $?"
touch -d '2021-03-04 05:06:07' f; date -r f '+%F %T'; a=$(date +%s); sleep 1; b=$(date +%s); [ $((b - a)) -ge 1 ] && [ $((b - a)) -le 30 ] && echo time passes
