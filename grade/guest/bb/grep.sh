printf 'alpha\nBeta\ngamma ray\nalphabet\n' > f
grep alpha f; grep -v alpha f; grep -i beta f; grep -n a f; grep -c a f; grep -E '^(a|g)' f; grep -o 'al*' f; grep -l ray f /dev/null
grep -w alpha f; grep -q nothing f; echo "status $?"; grep x nowhere; echo "status $?"; cat f | grep -A1 Beta; grep -F 'a r' f
