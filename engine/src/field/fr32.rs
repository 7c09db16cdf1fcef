//! Fr32: 254 bits of data to every 32 bytes.
