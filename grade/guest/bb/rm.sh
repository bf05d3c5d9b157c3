mkdir -p d/e/f; touch a b d/x d/e/y
rm a; ls; rm d; echo "status $?"; rm -r d; ls; rm nowhere; echo "status $?"; rm -f nowhere; echo "status $?"
rmdir b; echo "status $?"
