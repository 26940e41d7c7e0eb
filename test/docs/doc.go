// Package docs runs the commands of the documents, as a reader would type them.
//
// Job: every `console` block of the listed documents is typed into one shell per document, in an empty folder, and what
// is printed is compared with what the document shows.
// Owner: whoever changes a document or the command line.
// Promise: the text stays what a person would type: free ports come in through the environment, and are shown under
// their usual numbers. All that a document starts is ended with its shell.
// Limits: a line `$ ...` is one command; `...` in the output stands for anything in a line, alone for any lines.
package docs
