# What the sidecar tells the application about a request.
printf 'Content-Type: text/plain\r\n\r\n'
env | grep '^HTTP_' | sort
