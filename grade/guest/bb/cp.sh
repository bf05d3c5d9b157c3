mkdir -p s/t; echo file > s/f; echo deep > s/t/g; ln -s f s/l; chmod 600 s/f
cp s/f copy; cat copy; cp -r s r; cat r/t/g; cp -a s p; readlink p/l; stat -c '%a %F' p/f p/l p/t
cp nowhere x; echo "status $?"; cp s x; echo "status $?"
cp s/f s/t/g r; ls r; cp -p s/f q; stat -c %a q
