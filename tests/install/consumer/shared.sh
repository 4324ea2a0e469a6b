cc server.c $(pkg-config --cflags --libs weft) -o server
