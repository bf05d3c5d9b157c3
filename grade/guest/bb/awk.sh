printf 'a 1 x\nb 2 y\nc 3 x\na 4 z\n' > f
awk '{ print $2, $1 }' f; awk '{ s += $2 } END { print s, NR, s / NR }' f; awk '$3 == "x"' f; awk '{ n[$1]++ } END { for (k in n) print k, n[k] }' f | sort
awk -F: '{ print NF, $1 }' /etc/passwd | head -1; awk 'BEGIN { printf "%5.2f|%-5s|%05d|%x\n", 3.14159, "ab", 42, 255; print length("hello"), substr("hello", 2, 3), index("hello", "l"), toupper("abc") }'
awk 'BEGIN { while (i < 5) { i++; if (i == 3) continue; print i } }'; echo 'x y z' | awk '{ $2 = "changed"; print; print NF }'
awk 'BEGIN { print int(7.9), 2 * 5, 7 % 3; "echo sub" | getline v; print v; system("echo system") }'
awk 'function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) } BEGIN { print f(15) }'
