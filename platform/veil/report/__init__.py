"""What a study found out, for somebody who does not take it on trust: its report, and the answers it rests on."""
