# functions, here-documents, arithmetic, case, traps, subshells, command substitution, redirections
f() { echo "f got $# arguments: $*"; return 3; }
f a "b c" d; echo "status $?"
x=5; x=$((x * 7 + 3)); echo $x ${x%8} ${#x} ${y:-unset} ${x:+set}
case hello.c in *.h) echo header;; *.c) echo source;; esac
cat <<END
here $x
END
trap 'echo leaving' EXIT
(cd /; pwd; exit 4); echo "subshell $?"
i=0; while [ $i -lt 5 ]; do i=$((i + 1)); [ $i = 3 ] && continue; echo "i=$i"; done
set -- one two three; shift; echo "$1 $#"
echo $(echo nested $(echo deep))
exec 3> out; echo via three >&3; exec 3>&-; cat out
{ echo to stderr >&2; } 2>&1 | sed 's/^/piped: /'
sleep 0 & wait $!; echo "waited $?"
kill -0 $$ && echo alive
sh -c 'kill -TERM $$'; echo "killed $?"
for f in *; do echo "glob $f"; done
test -f out -a ! -d out && echo test ok
echo 'a b c' | while read p q r; do echo "$r $q $p"; done
printf '%s-%03d-%x\n' str 7 255
umask 022; umask
