/**
 * The parent of dnsmasq: a shell that starts it again when it ends, and ends it when the switch closes a pipe.
 *
 * The switch may have given root up by the time it stops or dies, and then it may not send a signal to dnsmasq, which
 * runs as a user of its own; the kernel does not pass on the switch's death either (PR_SET_PDEATHSIG is checked like a
 * signal from the dying process). A pipe needs no permission: however the switch ends, its end of the pipe closes. The
 * shell runs as the user that dnsmasq runs as, with the same capabilities, so it can also start dnsmasq again after the
 * switch could not.
 *
 *     descriptor 0    the pipe; nothing is ever written to it
 *     descriptor 2    what dnsmasq and the shell say
 *     descriptor 3    the file of leases, which dnsmasq gets as descriptor 0
 *
 * If the shell itself is killed, the kernel kills dnsmasq with it: both are one user.
 */

/** Seconds before it is started again: doubled after each end that came soon, back to the first after a good while. */
const BACK_OFF = { first: 1, most: 30, goodWhile: 60 }

/** For `sh -c`; the arguments after it are the program to run, and its arguments. */
export const SUPERVISOR = `
server=
finish() {
  trap - TERM
  [ -z "$server" ] || kill -s KILL "$server" 2>/dev/null
  exit 0
}
trap finish TERM
exec 4<&0 0</dev/null
(while read -r nothing; do :; done <&4; kill -s TERM $$) 3<&- &
exec 4<&-
pause=${BACK_OFF.first}
while :; do
  started=$(date +%s)
  setpriv --pdeathsig KILL "$@" 0<&3 3<&- &
  server=$!
  wait "$server"
  status=$?
  server=
  [ $(($(date +%s) - started)) -lt ${BACK_OFF.goodWhile} ] || pause=${BACK_OFF.first}
  echo "supervisor: ended with status $status, again in $pause s" >&2
  sleep "$pause" 3<&- &
  wait $!
  pause=$((pause * 2))
  [ "$pause" -le ${BACK_OFF.most} ] || pause=${BACK_OFF.most}
done
`
