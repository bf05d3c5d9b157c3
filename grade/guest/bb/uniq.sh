printf 'a\na\nb\nc\nc\nc\na\n' > f
uniq f; uniq -c f; uniq -d f; uniq -u f; sort f | uniq -c | sort -rn
