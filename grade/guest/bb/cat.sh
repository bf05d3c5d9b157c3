printf 'one\ntwo\n' > a; printf 'three' > b
cat a b; echo; cat - < a; cat -n a; echo piped | cat a - b; echo
cat /nowhere; echo "status $?"
