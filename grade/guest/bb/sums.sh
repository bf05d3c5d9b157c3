seq 1 10000 > f; printf '' > empty; printf abc > abc
md5sum f empty abc; sha256sum f empty abc; md5sum < abc; md5sum f abc > sums; md5sum -c sums; echo "status $?"; echo x >> f; md5sum -c sums; echo "status $?"; sha256sum nowhere; echo "status $?"
