mkdir d; echo one > d/a; echo three33 > d/bb; ln -s a d/link; chmod 640 d/a; chmod 755 d/bb; touch -d '2020-01-02 03:04:05' d/a d/bb
ls d; ls -1a d; ls -F d; ls -p d
ls -l d/a d/bb | awk '{ print $1, $2, $5, $9 }'
ls /nowhere; echo "status $?"
ls -d d; ls -R .
