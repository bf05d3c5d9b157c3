echo hello "a  b" 'c $x' d\ e
x=5; y="$x-${x}z"; echo $y ${u:-def} ${#y} ${y%-*} ${y#*-} ${y%%5*}_
echo $((1+2*3)) $(( (1+2)*3 )) $((x*2)) $((7/2)) $((1<2 && 3>4)) $((-5%3))
for i in 1 2 3; do echo -n "$i "; done; echo
i=0; while [ $i -lt 3 ]; do i=$((i+1)); if [ $i = 2 ]; then continue; fi; echo w$i; done
until [ $i -eq 0 ]; do i=$((i-1)); done; echo $i
case foo.c in *.h) echo h;; *.c|*.S) echo c;; esac
case x in
  y) ;;
  *) echo star ;;
esac
f() { echo "f: $1 $2 $#"; return 3; }
f a "b c"; echo $?
echo a b c | wc -w
echo one | cat | cat | sed s/one/two/
(echo sub; exit 4); echo $?
{ echo g1; echo g2; } > o1; cat o1
cat <<EOF
here $x
$(echo cmd)
EOF
cat <<'EOF'
here $x
EOF
cat <<-EOF | cat
	tabbed
	EOF
true && echo and || echo no
false || echo or
! false && echo not
echo "$(echo "nested $(echo deep)")" `echo bq`
set -- a "b c" d; echo $# "$1" "$2"; for a in "$@"; do echo "[$a]"; done; for a in $*; do echo "($a)"; done; for a; do echo "<$a>"; done
shift; echo $1
echo err >&2 2>/dev/null
cat /nonexistent 2>/dev/null; echo $?
sleep 0.1 & wait; echo waited $?
sh -c 'exit 7'; echo $?
echo gg/*1 */a2
z=$(printf 'x\ny\n'); echo "$z"; echo $z
read a b <<EOF
first second third
EOF
echo $a,$b
printf 'l1\nl2\n' | while read l; do echo "got $l"; done
export FOO=bar; sh -c 'echo $FOO'; FOO=baz sh -c 'echo $FOO'; echo $FOO
if false; then echo 1; elif true; then echo 2; else echo 3; fi
A= ; echo "${A:-empty}" "${A-set}"; echo ${B=assigned} $B
echo "a
b"
x="  lead trail  "; echo $x; echo "$x"
eval 'echo eval $x'
IFS=:; p=a:b:c; for i in $p; do echo $i; done; unset IFS
[ -d /tmp ] && [ -f /etc/passwd ] && echo ok
[ ! -e /nope ] && echo nope
test "a" = "b" || echo ne
while true; do while true; do break 2; done; done; echo broke
"echo" quo''ted; e""cho hi
echo a#b # comment
for i in 1 2; do echo $i; done | cat
exec 3>o3; echo to3 >&3; exec 3>&-; cat o3
g() { local_x=$1; echo $local_x; }
g q > o4; cat o4
echo "\$x \\ \" \a"
echo ${x:+yes} ${nope:+no}|
cat
echo ""|wc -c
echo '' "" x
mkdir gg && touch gg/a1 gg/a2 gg/b1 gg/.hidden && cd gg && echo a* '*' "a*" [ab]1 [!a]* nomatch* .h* && cd ..
echo gg/*1 */a2; rm -r gg
for i in ${none:-a b} "${none:-c d}"; do echo "[$i]"; done
f() { if [ "$1" -gt 0 ]; then echo "$1"; f $(($1 - 1)); fi; }; f 4
n=0; while read a b; do n=$((n+1)); echo "$n:$a:$b"; done <<EOF
one two three
  four
EOF
(cd /; pwd); x=outer; (x=inner; echo $x); echo $x
echo to stderr >&2; { echo both; echo err >&2; } 2>&1 | cat | sort
case "a b" in "a b") echo quoted;; esac; case abc in a?c) echo one;; esac; case x in [!a-w]) echo not;; esac
set -- -n x; [ "$1" = -n ] && echo dash; shift 2; echo $#; set -e; false || echo kept; (false; echo no); echo not reached
