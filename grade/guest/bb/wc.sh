printf 'one two\nthree\n' > f; printf 'no newline' > g
wc f; wc -l f g; wc -w < f; wc -c < g; cat f g | wc; wc -L f; wc nowhere; echo "status $?"
