cc -static server.c $(pkg-config --static --cflags --libs weft) -o server
