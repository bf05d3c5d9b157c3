printf 'pear 3\napple 10\nfig 2\napple 1\n' > f
sort f; sort -r f; sort -k2 -n f; sort -u -k1,1 f; sort -k1,1 -k2,2nr f; sort -o g f; cat g; printf '10\n9\n2\n' | sort; printf '10\n9\n2\n' | sort -n; sort -c f; echo "status $?"
seq 1 2000 | sort -rn | head -3; seq 2000 -1 1 | sort -n | tail -2
