#pragma once

/* Gives back what is mapped of the code and the constants of this program and its libraries: what runs comes back with its
 * next use, from the page cache. To be called once a long-lived process has started: what only the loader and the
 * libraries' initialisers touched would count as its memory for as long as it lives (4 MB of musterd's). */
void code_pages_give_back(void);
