mkdir -p t/u/v; echo x > t/one.c; echo yy > t/u/two.h; touch t/u/v/three.c; ln -s one.c t/link
find t | sort; find t -name '*.c' | sort; find t -type d | sort; find t -type l; find t -size -1 -type f | sort
find t -name '*.c' -exec echo found {} \; | sort; find t -maxdepth 1 | sort; find t | sort
find nowhere; echo "status $?"
