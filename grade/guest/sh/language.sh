echo hello "a  b" 'c $x' d\ e
x=5; y="$x-${x}z"; echo $y
for i in 1 2 3; do echo -n "$i "; done; echo
i=x; while [ $i != xxx ]; do i=x$i; if [ $i = xx ]; then echo two; elif [ $i = xxx ]; then echo three; else echo n; fi; done
until [ $i = xxxxx ]; do i=x$i; done; echo $i
echo a b c | wc -w
echo one | cat | cat | sed s/one/two/
(echo sub; exit 4); echo $?
{ echo g1; echo g2; } > o1; cat o1
true && echo and || echo no
false || echo or
! false && echo not
echo "$(echo "nested $(echo deep)")" $( (echo sub2) )
echo err >&2 2>/dev/null
cat /nonexistent 2>/dev/null; echo $?
sleep 0.1 & wait; echo waited $?
sh -c 'exit 7'; echo $?
z=$(printf 'x\ny\n'); echo "$z"; echo $z
printf 'l1 a b\nl2\n' | while read l m; do echo "got $l,$m"; done
export FOO=bar; sh -c 'echo $FOO'; FOO=baz sh -c 'echo $FOO'; echo $FOO; BAR=1; sh -c 'echo "[$BAR]"'
if false; then echo 1; elif true; then echo 2; else echo 3; fi
echo "a
b"
x="  lead trail  "; echo $x; echo "$x"
[ -d /tmp ] && [ -f /etc/passwd ] && echo ok
"echo" quo''ted; e""cho hi
echo a#b # comment
for i in 1 2; do echo $i; done | cat
exec 3>o3; echo to3 >&3; exec 3>&-; cat o3
echo "\$x \\ \" \a"
echo ${nope}|
cat
echo ""|wc -c
echo '' "" x
mkdir gg && touch gg/a1 gg/a2 gg/b1 gg/.hidden && cd gg && echo a* '*' "a*" [ab]1 [!a]* nomatch* .h* ./a? ../gg/b* && cd ..
echo gg/*1 */a2 /etc/pass*d; rm -r gg
(cd /; pwd); x=outer; (x=inner; echo $x); echo $x
echo to stderr >&2; { echo both; echo err >&2; } 2>&1 | cat | sort
n=0; while read l; do n=$n$l; done < o1; echo $n
x=$(false); echo $?; x=$(exit 3) || echo failed
echo ~ ~/x "~" a~
yes | head -n 1; { while true; do echo y; done; } | head -n 1
sh -c 'echo $0 $# $1 "$@" $*' n "a b" c
for i in "$(echo a b)" $(echo c d); do echo "<$i>"; done
while false; do echo; done; echo $?
set1=a=b; echo $set1 "$set1"x; read a b < o1; echo $a,$b; { read a; read b; } < o1; echo $a,$b
echo x > o5; echo y >> o5; cat < o5 | cat - o5; exec 4<o5; read a <&4; read b <&4; echo $a$b; exec 4<&-
if [ a = b ]; then echo eq; fi; echo $?; [ ! 3 -lt 2 ] && [ -n x ] && [ -z "" ] && [ 10 -ge 9 ] && echo numbers
echo 'echo dot $x; y=from-dot' > o6; . ./o6; echo $y; sh -c 'exec echo replaced; echo not' ; (exit 3) || (exit 4); echo $?
true | false; echo $?; ! false | true; echo $?; false | true && echo last; sleep 0 & wait $!; echo $?
