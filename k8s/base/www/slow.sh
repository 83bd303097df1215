# An answer that takes 3 s, to see what becomes of it when the Pod is stopped.
printf 'Content-Type: text/plain\r\n\r\n'
sleep 3
echo done
