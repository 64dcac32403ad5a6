/** Addresses that libslirp's DHCP server has (NB_BOOTP_CLIENTS in libslirp src/bootp.h). */
export const slirpLeases = 16
