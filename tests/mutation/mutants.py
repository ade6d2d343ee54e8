"""Small changes of a module, one at a time, each of which some test should notice.

Not changed: statements outside functions (names, tables and tuned constants), annotations, decorators,
docstrings, ``raise`` and ``assert`` statements and f-strings (words), ``extra_repr``, and ``strict=`` of
``zip`` (a guard like ``assert``).
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Pow: ast.Mult, ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
UNCHANGED = (ast.Raise, ast.Assert, ast.JoinedStr)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Key = tuple[str, str, int]  # file, name and first line of a function
Live = dict[Key, list[FunctionType]]  # the functions of this process


@dataclass(frozen=True)
class Mutant:
    """The ``choice``-th change of node ``index`` of a module."""

    path: Path
    index: int
    choice: int
    name: str  # file, function, old -> new
    lines: range  # of the statement
    functions: tuple[Key, ...]  # that hold the node, the innermost last

    def apply(self, live: Live) -> None:
        """Give the functions of this process the changed code, or default."""
        tree = ast.parse(self.path.read_text())
        nodes = list(ast.walk(tree))
        node = nodes[self.index]
        default = _default(nodes, node)
        replacement = _changes(node)[self.choice]
        if default is not None:
            assert isinstance(replacement, ast.Constant)
            for function in live[self.functions[-1]]:
                if isinstance(default, str):
                    function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), default: replacement.value}
                else:
                    values = list(function.__defaults__ or ())
                    values[default] = replacement.value
                    function.__defaults__ = tuple(values)
            return
        _replace(tree, node, replacement)
        codes = dict(_codes(compile(ast.fix_missing_locations(tree), str(self.path), "exec")))
        for key in self.functions:
            for function in live.get(key, ()):
                function.__code__ = codes[key]


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """All mutants of the functions of a module."""
    tree = ast.parse(path.read_text())
    index = {id(node): i for i, node in enumerate(ast.walk(tree))}
    mutants: list[Mutant] = []
    names: Counter[str] = Counter()

    def visit(node: ast.AST, parents: list[ast.AST]) -> None:
        functions = [each for each in parents if isinstance(each, FUNCTIONS)]
        if functions:
            for choice, change in enumerate(_changes(node)):
                where = ".".join(
                    each.name for each in parents if isinstance(each, (*FUNCTIONS, ast.ClassDef))
                )
                name = f"{path.relative_to(root)} {where}: {_words(node, change, parents)}"
                names[name] += 1
                name += f" #{names[name]}" if names[name] > 1 else ""
                keys = tuple((str(path), each.name, _first_line(each)) for each in functions)
                statement = next(each for each in [node, *parents[::-1]] if isinstance(each, ast.stmt))
                mutants.append(Mutant(path, index[id(node)], choice, name, _lines(statement), keys))
        for child in _children(node):
            visit(child, [*parents, node])

    visit(tree, [])
    return mutants


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What lies below ``node`` and may be changed."""
    if isinstance(node, FUNCTIONS):
        if node.name != "extra_repr":
            yield from [each for each in (*node.args.defaults, *node.args.kw_defaults) if each]
            yield from node.body[ast.get_docstring(node) is not None :]
    elif isinstance(node, ast.AnnAssign):
        yield from [node.value] if node.value else []
    elif not isinstance(node, ast.UnaryOp) or not isinstance(node.operand, ast.Constant):
        yield from [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, UNCHANGED) and getattr(child, "arg", None) != "strict"
        ]


def _changes(node: ast.AST) -> list[ast.AST]:  # noqa: PLR0912 - a table of what is changed
    """What may stand in place of ``node``."""
    changes: list[ast.AST] = []
    match node:
        case ast.Constant(value=bool() as value):
            changes = [ast.Constant(not value)]
        case ast.Constant(value=int() | float() as value):
            changes = [ast.Constant(value + 1)]
        case ast.Constant(value=str() as value):
            changes = [ast.Constant(f"XX{value}")]
        case ast.Name(id=name) if name in NAMES:
            changes = [ast.Name(NAMES[name], ast.Load())]
        case ast.Attribute(value=value, attr="mT"):
            changes = [value]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            changes = [ast.UnaryOp(ast.USub(), ast.Constant(value + 1))]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            changes = [operand]
        case ast.BinOp(left=left, op=ast.MatMult() as op, right=right):
            changes = [ast.BinOp(right, op, left)]
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            changes = [_copy(node, op=SWAPS[type(op)]())]
        case ast.Compare(ops=ops):
            swaps = [
                [SWAPS[type(op)]() if i == j else op for j, op in enumerate(ops)] for i in range(len(ops))
            ]
            changes = [_copy(node, ops=swapped) for swapped in swaps]
        case ast.IfExp(body=body, orelse=orelse):
            changes = [body, orelse]
        case ast.If() | ast.comprehension():
            changes = list(_without_condition(node))
        case ast.Slice():
            changes = [_copy(node, **{end: None}) for end in ("lower", "upper") if getattr(node, end)]
        case ast.Call(func=func, args=args, keywords=keywords):
            changes = [
                ast.Call(func, args, [other for other in keywords if other is not keyword])
                for keyword in keywords
                if keyword.arg not in (None, "strict")
            ]
        case ast.Expr(value=ast.Call()):
            changes = [ast.If(ast.Constant(0), [node], [])]  # keeps what a closure refers to
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _names(value):
            changes = [ast.If(ast.Constant(0), [node], [])]
        case ast.Break():
            changes = [ast.Continue()]
        case ast.Continue():
            changes = [ast.Break()]
    return changes


def _without_condition(node: ast.If | ast.comprehension) -> Iterator[ast.AST]:
    if isinstance(node, ast.comprehension):
        yield from [_copy(node, ifs=[])] if node.ifs else []
        return
    for value in (True, False):
        yield _copy(node, test=ast.BoolOp(ast.Or() if value else ast.And(), [ast.Constant(value), node.test]))


def _copy(node: ast.AST, **fields: object) -> ast.AST:
    return type(node)(**{**dict(ast.iter_fields(node)), **fields})


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if value is old:
                setattr(node, name, new)
                return
            if isinstance(value, list) and any(each is old for each in value):
                setattr(node, name, [new if each is old else each for each in value])
                return


def _default(nodes: list[ast.AST], node: ast.AST) -> int | str | None:
    """Where ``node`` stands among the defaults of its function: a position from the end, or a name."""
    for each in nodes:
        if isinstance(each, ast.arguments):
            if any(default is node for default in each.defaults):
                return [default is node for default in each.defaults].index(True) - len(each.defaults)
            for argument, default in zip(each.kwonlyargs, each.kw_defaults, strict=True):
                if default is node:
                    return argument.arg
    return None


def _names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _codes(code: CodeType) -> Iterator[tuple[Key, CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield (constant.co_filename, constant.co_name, constant.co_firstlineno), constant
            yield from _codes(constant)


def _first_line(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _lines(statement: ast.stmt) -> range:
    """Of a simple statement, or of the head of a compound one; of a function, whose default changes, all."""
    body = getattr(statement, "body", None)
    if body and not isinstance(statement, FUNCTIONS):
        return range(statement.lineno, max(statement.lineno + 1, body[0].lineno))
    return range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)


def _words(node: ast.AST, change: ast.AST, parents: list[ast.AST]) -> str:
    """The change with the expression around it."""
    if isinstance(node, ast.Expr | ast.Assign):
        return f"{ast.unparse(node)} -> (left out)"
    if isinstance(node, ast.If):
        return (
            f"if {ast.unparse(node.test)} -> if {'True' if isinstance(change.test.op, ast.Or) else 'False'}"
        )
    around: ast.AST = node
    if not isinstance(node, ast.AugAssign | ast.BinOp | ast.BoolOp | ast.Compare | ast.Call | ast.IfExp):
        around = next(
            each for each in parents[::-1] if not isinstance(each, ast.Slice | ast.arguments | ast.keyword)
        )
    if isinstance(around, ast.If | ast.While | ast.For):
        around = node
    if isinstance(around, FUNCTIONS):
        argument = next(
            a.arg for a in ast.walk(around.args) if isinstance(a, ast.arg) and _is_default_of(node, a, around)
        )
        return f"{argument}={ast.unparse(node)} -> {argument}={ast.unparse(change)}"
    old = ast.unparse(around)
    if around is node:
        return f"{old} -> {ast.unparse(ast.fix_missing_locations(change))}"
    _replace(around, node, change)
    new = ast.unparse(around)
    _replace(around, change, node)
    return f"{old} -> {new}"


def _is_default_of(node: ast.AST, argument: ast.arg, function: ast.FunctionDef) -> bool:
    a = function.args
    plain = [*a.posonlyargs, *a.args]
    pairs = [
        *zip(plain[::-1], a.defaults[::-1], strict=False),
        *zip(a.kwonlyargs, a.kw_defaults, strict=True),
    ]
    return any(one is argument and default is node for one, default in pairs)
