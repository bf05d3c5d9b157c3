seq 1 20000 > f; cp f orig
gzip f; ls; gunzip f.gz; cmp f orig && echo same; gzip -c f | gunzip -c | md5sum; gzip -t nowhere; echo "status $?"; gzip f; zcat f.gz | tail -1
printf garbage > bad.gz; gunzip bad.gz; echo "status $?"
