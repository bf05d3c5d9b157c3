seq 1 10 | xargs echo; seq 1 10 | xargs -n 3 echo; printf 'a b\0c\0' | xargs -0 -n 1 echo; echo x y | xargs -I {} echo "<{}>"; seq 1 3 | xargs -n 1 sh -c 'exit 1' ; echo "status $?"; printf '' | xargs echo empty
echo a | xargs nosuchcommand; echo "status $?"
