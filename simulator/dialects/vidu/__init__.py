"""Vidu's wire: clips and pictures as tasks, a key after the word `Token`, callbacks signed with that key."""
