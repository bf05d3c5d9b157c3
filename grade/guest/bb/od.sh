printf 'Hello\n\001\377world' > f
od f; od -c f; od -x f; od -t x1 f; od -An -t u1 f; od -j 6 -N 3 -t x1 f; hexdump -C f; od nowhere; echo "status $?"
