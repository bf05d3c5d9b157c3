seq 1 3000 > f
dd if=f of=g bs=100 count=5 2>/dev/null; wc -c < g; dd if=f bs=1 skip=10 count=20 2>/dev/null; echo; dd if=/dev/zero of=z bs=4k count=64 2>/dev/null; md5sum z
dd if=f of=z bs=1 seek=100000 conv=notrunc count=50 2>/dev/null; md5sum z; dd if=/dev/zero of=sparse bs=1 count=1 seek=5000000 2>/dev/null; wc -c < sparse; dd if=nowhere; echo "status $?"
echo text | dd conv=ucase 2>/dev/null; dd if=f of=h bs=512 2>&1 | grep records
