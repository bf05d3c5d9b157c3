mkdir -p d/e; echo one > d/a; seq 1 5000 > d/e/numbers; ln -s a d/link; ln d/a d/hard; chmod 640 d/a
tar cf t.tar d; tar tf t.tar | sort; mkdir x; tar xf t.tar -C x; cat x/d/a; md5sum x/d/e/numbers; readlink x/d/link; stat -c '%a %h' x/d/a
tar czf t.tgz d; mkdir y; tar xzf t.tgz -C y; md5sum y/d/e/numbers; tar xOf t.tar d/e/numbers | md5sum; tar tf nowhere; echo "status $?"; (cd d; tar cf - .) | tar tf - | sort
