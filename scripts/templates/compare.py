"""Compares this engine with Jinja2 on generated expressions, and looks for panics.

    cargo build -p chord-text --example render_templates
    python scripts/templates/compare.py target/debug/examples/render_templates 20000

Prints each case in which the two differ. An error on both sides is the same, whatever its words.
"""

import copy
import json
import random
import subprocess
import sys

from jinja import environment, render
from expressions import VARIABLES

ATOMS = """1 0 -1 2 7 3.5 -0.5 1.0 1e16 1e-7 100000 true false none missing text empty words words2 spaced numbers nested
strings pairs person people mixed 'a' 'Hello World' '' 'äÖß€🚀' 'a,b,,c' '  x\\n' "it's" '%s' '{}' [] [1] [3,1,2] (1,)
(1,'a') {} {'a':1} {'b':2,'a':[1]} range(3) range(5,0,-2) people[0] person.name [none,true,1.5,'q'] [[1,2],[3]]""".split()
BINARY = "+ - * / // % ** ~ == != < <= > >= in and or".split() + ["not in"]
TESTS = """defined undefined none true false boolean integer float number string escaped mapping odd even lower upper
sequence iterable callable divisibleby(2) eq(1) ne(1) lt(2) in([1,'a']) sameas(none)""".split()
FILTERS = """abs attr('name') batch(2)|list capitalize center(9) count d d('x') d('x',true) default(1) dictsort
dictsort(true,'value') e escape filesizeformat first float float(1) forceescape format(1) groupby('age')
groupby(0) indent indent(2,true) indent(2,blank=true) int int(5) int(base=16) items|list join join(', ')
join('-',attribute='name') last length list lower map('upper')|list map('string')|list map(attribute='name')|list
map(attribute='x',default='?')|list max min reject|list reject('odd')|list rejectattr('age')|list replace('a','b')
replace('l','L',1) reverse reverse|list round round(1) round(1,'ceil') round(0,'floor') round(-1) safe select|list
select('string')|list selectattr('age','gt',30)|list selectattr('name')|list slice(2)|list sort sort(reverse=true)
sort(attribute='name') sort(case_sensitive=true) string sum sum(attribute='age') sum(start=1) title tojson
tojson(indent=2) tojson(ensure_ascii=true) tojson(separators=(',',':')) tojson(sort_keys=true) trim trim('a ')
truncate(5) truncate(6,true) truncate(5,false,'…',0) unique|list upper urlencode wordcount wordwrap(4)""".split()
METHODS = """capitalize() casefold() center(8) center(8,'*') count('l') count('') endswith('d') endswith(('d','a'))
expandtabs(4) find('l') find('z') find('l',3) format(1,2) format(a=1) index('l') isalnum() isalpha() isascii() isdecimal()
isdigit() islower() isnumeric() isprintable() isspace() istitle() isupper() join(['a','b']) join('xyz') ljust(7) ljust(7,'.')
lower() lstrip() lstrip('H ') partition(' ') partition(',') removeprefix('He') removesuffix('ld') replace('l','L')
replace('l','L',1) replace('','-') rfind('l') rindex('o') rjust(7) rpartition('o') rsplit() rsplit(',') rsplit(None,1)
rsplit(',',1) rstrip() rstrip('d\\n') split() split(',') split(' ',1) split(None,1) split(maxsplit=1) splitlines()
splitlines(true) startswith('H') startswith('l',2) startswith(('a','H')) strip() strip('Hd') swapcase() title() upper()
zfill(5) get('a') get('a',0) get('zz','d') items()|list keys()|list values()|list items() copy() index(1) count(1) append(1)
pop() update({}) name x items""".split()
SPECS = """%s %d %5d %-5d| %05d %+d %x %#x %X %o %e %.2e %f %.1f %g %.3g %G %r %a %c %5s %-5s| %.2s %% %i %05.1f""".split()
FORMATS = """{} {0} {:d} {:5} {:<5}| {:>5} {:^5}| {:*^7} {:05} {:+} {:x} {:#x} {:b} {:o} {:,} {:_} {:.2f} {:.1%} {:e} {:g}
{:.3} {!r} {!s:>4} {:10.3f} {:,.2f} {{}} {0[0]} {:c} {:=+6d}""".split()


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def bound(self):
        return self.random.choice(["", "0", "1", "2", "-1", "-2", "3", "9", "-9", "none", "true", "100000000000000000000"])

    def expression(self, depth):
        pick, choice = self.random.random(), self.random.choice
        if depth == 0 or pick < 0.12:
            return choice(ATOMS)
        inner = lambda: self.expression(depth - 1)
        if pick < 0.34:
            return f"({inner()})|{choice(FILTERS)}"
        if pick < 0.5:
            return f"({inner()}).{choice(METHODS)}"
        if pick < 0.62:
            return f"({inner()}) {choice(BINARY)} ({inner()})"
        if pick < 0.7:
            step = self.random.choice(["", ":" + self.bound(), ":-1", ":-2", ":0"])
            return f"({inner()})[{self.bound()}:{self.bound()}{step}]"
        if pick < 0.75:
            return f"({inner()})[{inner()}]"
        if pick < 0.84:
            return f"({inner()}) is {choice(['', 'not '])}{choice(TESTS)}"
        if pick < 0.88:
            return f"{choice(['not ', '-', '+'])}({inner()})"
        if pick < 0.91:
            return f"({inner()} if {inner()} else {inner()})"
        if pick < 0.94:
            return f"'{choice(SPECS)}' % ({inner()})"
        if pick < 0.97:
            return f"'{choice(FORMATS)}'.format({inner()})"
        return f"[{inner()}, {inner()}]"


def comparable(result):
    if "error" in result:
        return "error"
    return result


def main():
    program, count = sys.argv[1], int(sys.argv[2])
    generator = Generator(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    cases = [f"{{{{ {generator.expression(generator.random.randint(1, 3))} }}}}" for _ in range(count)]
    lines = "\n".join(json.dumps({"source": source, "variables": VARIABLES}) for source in cases)
    answers = subprocess.run([program], input=lines, capture_output=True, text=True)
    answers = [json.loads(line) for line in answers.stdout.split("\n") if line]
    env = environment()
    differences = 0
    for source, ours in zip(cases, answers):
        # Some filters change lists in passing.
        theirs = render(env, source, copy.deepcopy(VARIABLES))
        if comparable(ours) != comparable(theirs) and not known(theirs, ours):
            differences += 1
            print(source, "\n   jinja2:", theirs, "\n   ours:  ", ours)
    print(f"{len(answers)} of {len(cases)} cases, {differences} differences")
    if len(answers) < len(cases):
        print("ended at", cases[len(answers)])
        sys.exit(1)


def known(theirs, ours):
    """Texts that hold addresses, and numbers and sizes beyond this engine's bounds."""
    if " at 0x" in str(theirs) or "<generator" in str(ours):
        return True
    error = str(ours.get("error"))
    return any(words in error for words in ("128 bits", "at most 1000", "more than 1"))


if __name__ == "__main__":
    main()
