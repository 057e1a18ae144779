#pragma once

/* The pages of programs and libraries. */

/* Gives back what is mapped of the code and the constants of this program and its libraries: what runs comes back with its
 * next use, from the page cache. To be called once a long-lived process has started: what the loader and the libraries'
 * initialisers touched only then would count as its memory for as long as it lives (musterd: 4 MB). */
void code_pages_give_back(void);
