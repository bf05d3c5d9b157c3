echo 1 > a; echo 2 > b; mkdir d
mv a c; cat c; mv c b d; ls; ls d; mv d e; cat e/b; mv e/c e/b; ls e; cat e/b
mv nowhere x; echo "status $?"
