/* Ends at once: what it takes is the loading of the libraries that it is linked with, which are musterd's. */

int main(void) {
        return 0;
}
