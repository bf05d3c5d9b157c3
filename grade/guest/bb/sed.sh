printf 'one\ntwo\nthree\nfour\n' > f
sed 's/o/0/' f; sed -n 2,3p f; sed '/two/d' f; sed 's/\(t\)\(.\)/\2\1/g' f; sed -e 1i\\ -e 'top' f; sed '$a end' f; sed = f; sed 'y/aeiou/AEIOU/' f
sed -i 's/four/4/' f; cat f; sed -E 's/(.)(.)/\2\1/' f; sed -n '/two/,$p' f; sed q f; sed 'N;s/\n/+/' f
