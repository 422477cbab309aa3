"""Expressions for the tests of the expression box: honest ones, and hostile or absurd ones, written and generated."""

HONEST = """
x|a|b|v|x + 1|1 + x|x - 2.5|x * 2|x / 4|x // 5|x % 3|x ** 2|-x|+x|~(x > 3)|2 ** x|10 - x|7 // (x + 1)|x * x|a + v|a * v|b / 2
x > 3|x >= 3|x < 3|x <= 3|x == 3|x != 3|(x > 2) & (x < 9)|(x < 2) \\| (x > 9)|x & 1|x \\| 8|(x > 5).sum()|(x > 5).float().mean()
x[0]|x[-1]|x[0, 1]|x[1:]|x[:, 1]|x[1:, ::2]|x[..., -1]|x[None]|x[:, None]|x[[0, 2]]|x[[0, 2], [1, 3]]|x[x > 3]|x[x % 2 == 0]
x[0][1]
x[[True, False, True]]|x[:, torch.tensor([3, 0])]|x[torch.tensor([[0, 1], [2, 2]])]|x[5:]|x[x[:, 0] > 0]|x.T[0]|x[..., None]
a @ b|b @ a|a @ v|b.T @ v|v @ v|x @ x.T|x.T @ x|a.matmul(b)|torch.matmul(a, b)|torch.mm(a, b)|a.mm(b)|a.mv(v)|torch.dot(v, v)
torch.outer(v, v)|v.outer(v)|torch.bmm(torch.ones(2, 3, 4), torch.ones(2, 4, 5))|torch.ones(2, 3, 4) @ torch.ones(4, 5)
torch.ones(5, 1, 2, 3) @ torch.ones(4, 3, 2)
torch.tensor([1, 2, 3])|torch.tensor([[1.0, 2], [3, 4]])|torch.tensor(5)|torch.tensor([True, False])
torch.tensor([1, 2], dtype=torch.float64)
torch.tensor([])|torch.zeros(2, 3)|torch.ones((2, 3))|torch.ones([4])|torch.zeros(2, dtype=torch.int64)|torch.full((2, 2), 7)
torch.full((3,), 0.5)|torch.arange(5)|torch.arange(2, 8)|torch.arange(0, 1, 0.1)|torch.arange(10, 0, -3)|torch.linspace(0, 1, 5)
torch.eye(3)|torch.eye(2, 3)|torch.zeros_like(a)|torch.ones_like(x)|torch.ones_like(x, dtype=torch.float32)
torch.full_like(a, 2)
torch.rand(2, 3)|torch.randn(4)|torch.rand((2, 2))|torch.randint(0, 10, (3,))|torch.randint(5, (2, 2))|torch.randperm(6)
torch.rand(2, 3) + torch.randn(3)
x.sum()|x.sum(dim=0)|x.sum(1)|x.sum(dim=1, keepdim=True)|x.sum(dim=(0, 1))|torch.sum(x)|a.mean()|a.mean(dim=0)|a.mean(-1)
a.std()
a.var(dim=1)|x.prod()|x.max()|x.min()|x.max(dim=1).values|x.max(dim=0).indices|torch.max(x, dim=1)[0]|torch.max(a, v)|x.argmax()
x.argmax(dim=1)|x.argmin(dim=0)|x.amax(dim=(0, 1))|(x > 3).all()|(x > 3).any(dim=0)|a.median()|a.norm()|x.cumsum(dim=1)
a.cumprod(0)|a.logsumexp(dim=1)|x.sum().item()|x.sum(dim=0, keepdim=True).shape|a.sum(dtype=torch.float64)
torch.cat([x, x])|torch.cat([x, x], dim=1)|torch.cat((a, v[None]), 0)|torch.concat([v, v])|torch.stack([v, v])
torch.stack([v, v], dim=1)
torch.hstack([a, a])|torch.vstack([v, v])|x.chunk(2, dim=1)[0]|torch.split(x, 2, 1)[1]
x.reshape(4, 3)|x.reshape(-1)|x.reshape((2, -1))|x.view(2, 6)|x.T|x.t()|x.mT|x.transpose(0, 1)|x.permute(1, 0)|x.flatten()
x.unsqueeze(0)
x.unsqueeze(-1).squeeze()|x[None].squeeze(0)|x.flip(0)|torch.flip(x, (0, 1))|x.roll(1)|torch.roll(x, 1, 0)|v.expand(2, 3)
v.repeat(2)
v.repeat(2, 2)|v.tile(2)|x.repeat_interleave(2)|x.repeat_interleave(2, dim=0)|x.contiguous()|x.clone()|v.expand_as(a)
torch.broadcast_to(v, (4, 3))|x.index_select(1, torch.tensor([0, 2]))|torch.diag(v)|x.diag()|x.tril()|x.triu(1)|x.trace()
a.exp()|a.log()|a.sqrt()|a.sin()|torch.cos(a)|torch.tanh(a)|torch.sigmoid(a)|a.relu()|(a - 3).relu()|(a - 3).abs()
(a / 3).round()
(a / 3).round(decimals=2)|(a / 3).floor()|torch.ceil(a / 3)|a.softmax(dim=1)|torch.softmax(a, 0)|a.log_softmax(-1)
x.float().softmax(dim=1)
a.clamp(2, 4)|torch.clamp(a, min=3)|a.clamp(max=2)|torch.where(x > 5, x, 0)|torch.where(a > 2, a, v)|a.masked_fill(a > 3, 0)
a.masked_select(a > 3)|x.nonzero()|x.sort(descending=True).values|v.argsort(descending=True)|v.topk(2).values
torch.unique(x % 3)
torch.maximum(a, v)|torch.pow(a, 2)|a.pow(0.5)|a.eq(v)|torch.equal(a, a)|torch.allclose(a, a + 1e-9)|x.remainder(5)|a.atan2(v)
x.float()|x.double()|x.bool()|a.int()|a.long()|x.to(torch.float64)|x.half()|x.shape|x.size()|x.size(0)|x.ndim|x.dim()|x.numel()
x.stride()|x.T.is_contiguous()|x.shape[1]|x.reshape(x.shape[1], -1)|torch.ones(2, dtype=a.dtype)
a.add_(1)|a.mul_(2).sub_(1)|a.zero_()|a.fill_(3)|a.copy_(v)|a.add(1)|torch.add(a, v)|a.mul(v)|a.div(2)|a.sub(v)
2 + 3|2 ** 10|7 // 2|7 / 2|[1, 2, 3]|(1, 2)|3 > 2|True|torch.pi|torch.tensor(torch.inf)|torch.tensor([torch.nan, 1]).isnan()
torch.add(a, v, out=a)|torch.matmul(a, b, out=torch.ones(2, 2)).sum()|torch.mul(a, a, out=a) + a|torch.exp(a, out=a)
torch.add(x, 1, out=torch.zeros(3, 4))|torch.cat([v] * 3, out=torch.zeros(9))|torch.mv(a, v, out=torch.ones(2))
torch.cat([x] * 3, dim=1)|torch.cat(2 * [v])|torch.stack((v, v) * 2)|torch.tensor([[1, 2]] * 3)|torch.tensor([0] * 5)|[1, 2] * 2
a.t_()|a.t_() @ v[:2]|v.t_()|x.to('cpu')|x.to(a)|x.to('cpu', torch.float64)
x.to(dtype=torch.float32)|x.to(device='cpu')|x.to(x.device)|a.to(x.dtype)|torch.zeros(2).to('cpu').to(torch.int32)
v / 0|-v / 0|x * True|(x > 3) * 1.0|((a - a.mean()) / a.std())|1 / (1 + torch.exp(-a))|(x.float() - x.float().mean(dim=0)) ** 2
"""
HONEST = [part.replace("\0", "|").strip() for line in HONEST.strip().splitlines() for part in line.replace("\\|",
                                                                                                           "\0").split("|")]

WRITTEN = """
__import__('os')¦__import__('os').system('id')¦import os¦from os import system¦open('/etc/passwd')¦open('/etc/passwd').read()
exec('1')
eval('1')¦compile('1', '', 'eval')¦globals()¦locals()¦vars()¦dir()¦dir(x)¦getattr(x, 'data')¦setattr(x, 'a', 1)¦type(x)
input()¦print(x)
exit()¦quit()¦help()¦breakpoint()¦x.__class__¦x.__class__.__bases__¦x.__class__.__mro__[1].__subclasses__()¦().__class__
[].__class__
''.__class__¦(1).__class__¦x.__dict__¦x.__reduce__()¦x.__init__()¦x.__add__(1)¦x.__getitem__(0)¦x.__array__()¦torch.__file__
torch.__dict__
torch.__builtins__¦torch._C¦torch._C._cuda_init()¦torch.os¦torch.os.system('id')¦torch.sys.modules¦torch.load('f')
torch.save(x, 'f')
torch.hub.load('a', 'b')¦torch.jit.load('f')¦torch.utils¦torch.utils.cpp_extension.load('a', 'b')¦torch.nn.Linear(2, 3)
torch.nn¦torch.Tensor
torch.Tensor(10**9)¦torch.Tensor([1])¦torch.FloatTensor(10**9)¦torch.from_file('f')¦torch.from_numpy(x)¦torch.frombuffer(b'a')
torch.storage¦torch.UntypedStorage(10**9)¦torch.set_num_threads(64)¦torch.manual_seed(0)¦torch.set_default_dtype(torch.float64)
torch.set_grad_enabled(False)¦torch.ops¦torch.ops.aten.add(x, x)¦torch.classes¦torch.compile(x)¦torch.cuda
torch.cuda.is_available()
torch.einsum('ij,kl->ijkl', x, x)¦torch.einsum('ij->', x)¦torch.empty(3)¦torch.empty(10**12)¦torch.empty_like(x)
torch.empty_strided((2,), (1,))
torch.as_strided(x, (10**5,), (0,))¦x.as_strided((10**6,), (1,))¦x.as_strided((3,), (1,), 100)¦x.set_(x)¦x.resize_(10**9)
x.resize_(2)
x.storage()¦x.untyped_storage()¦x.data¦x.data_ptr()¦x.numpy()¦x.tolist()¦x.cpu()¦x.cuda()¦x.to('cuda')¦x.to('cpu', 'cpu', 'a')
x.share_memory_()
x.backward()¦x.grad¦x.grad_fn¦x.requires_grad_()¦x.register_hook(print)¦x.apply_(abs)¦x.map_(x, max)¦x.new_empty(5)
x.new_zeros(10**9)
x.new_tensor([1])¦x.unfold(0, 1, 1)¦x.pin_memory()¦x.names¦x.rename('a')¦x.layout
x.device.type¦torch.device('cpu')¦x.is_cuda¦x.H¦x.real¦x.imag
x.module_load(x)
torch.ones(10**9)¦torch.ones(10**5, 10**5)¦torch.zeros(2**62)¦torch.zeros(2**63)¦torch.zeros(2**64)
torch.ones(999999999999999999999999)
torch.ones(-1)¦torch.ones(2, -3)¦torch.ones(1.5)¦torch.ones('a')¦torch.ones(None)¦torch.ones(x)¦torch.ones([[2]])
torch.ones(0, 10**9)
torch.ones(10**9, 0)¦torch.ones(1, 1, 1, 1, 1, 1, 1, 1)¦torch.ones(2, out=x)¦torch.ones(2, device='cuda')
torch.ones(2, requires_grad=True)
torch.ones(2, names=('a',))¦torch.ones(2, layout=torch.strided)¦torch.ones(2, pin_memory=True)¦torch.ones(*[2])
torch.ones(**{})¦torch.eye(10**5)
torch.full((10**9,), 1)¦torch.full((2,), 1j)¦torch.full((2,), x)¦torch.arange(10**9)¦torch.arange(0, 1, 1e-12)
torch.arange(0, 1, 1e-320)
torch.arange(0, 1, 0)¦torch.arange(torch.inf)¦torch.arange(torch.nan)¦torch.arange(0, 1e300)¦torch.arange(5, 0)¦torch.arange()
torch.linspace(0, 1, 10**9)¦torch.linspace(0, 1, -1)¦torch.logspace(0, 1, 10**9)¦torch.rand(10**9)¦torch.randn(10**5, 2)
torch.randint(10**30, (2,))
torch.randint(0, 5, (10**9,))¦torch.randint(5, 0, (2,))¦torch.randperm(10**9)¦torch.rand(2, generator=x)¦torch.tensor('a')
torch.tensor(None)
torch.tensor(x)¦torch.tensor([x, x])¦torch.tensor([[1], 2])¦torch.tensor(10**30)¦torch.tensor([1j])¦torch.tensor({'a': 1})
torch.tensor({1})
torch.tensor([1], device='cuda')¦torch.tensor([[[[[[[[1]]]]]]]])¦torch.tensor([[]] * 10**9)
x.repeat(10**9)¦x.repeat(10**5, 10**5)¦x.repeat(1000, 1000)¦x.repeat(-1, 1)¦x.repeat(1)¦x.repeat(2**62, 4)¦x.tile(10**9)
x.expand(10**9, 3, 4)
x.expand(2**40, 3, 4)¦x.expand(5, 5)¦v.expand(-1, 3)¦x.repeat_interleave(10**9)¦x.repeat_interleave(x)
torch.broadcast_to(v, (10**9, 3))
torch.zeros(1).expand(10**5, 10**5)¦torch.outer(torch.ones(1000), torch.ones(1000))¦torch.ones(1000, 1) + torch.ones(1000)
torch.ones(1000, 1) * torch.ones(1, 1000)¦torch.ones(1000, 1) > torch.ones(1000)¦torch.ones(1000, 1) @ torch.ones(1, 1000)
torch.ones(1000, 1, 1) @ torch.ones(1, 1, 1000)¦torch.ones(1, 300, 300) @ torch.ones(300, 1, 300, 1)¦torch.ones(100000).diag()
torch.where(torch.ones(1000, 1) > 0, torch.ones(1000), 0)¦torch.maximum(torch.ones(1000, 1), torch.ones(1000))
torch.ones(400, 1).pow(torch.ones(400))
torch.ones(1000, 1).add_(torch.ones(1000))¦torch.cat([torch.ones(60000), torch.ones(60000)])
torch.stack([torch.ones(60000)] * 2)
torch.stack([torch.ones(60000), torch.ones(60000)])¦torch.cat([])¦torch.cat(x)¦torch.cat([1, 2])¦torch.cat([x] * 10**9)
[x] * 10**9¦[0] * 10**10
(0,) * 10**10¦'a' * 10**10¦b'a' * 10**10¦[1] + [2]¦(1,) + (2,)¦10**10**10¦2**10**9¦(2**60)**(2**60)¦2**63¦-2**63 - 1¦9**99
1 << 10**9¦1 >> 1
x << 2¦10**308 * 10**308¦(10**18) * (10**18)¦99999999999999999999¦0x{'f' * 200}¦1e308 ** 2¦(-8) ** 0.5¦0 ** -1¦0.0 ** -1¦1 / 0
1 // 0¦1 % 0¦1.5 % 0¦x % 0
x // 0¦x.floor_divide(0)¦x.remainder(0)¦x.fmod(0)¦x / 'a'¦x + None¦x + [1]¦x + (1,)¦x + 'a'¦x + torch.float32¦x + torch¦x @ 2
2 @ 3¦x @ x¦a + b¦a @ x
x if x else a¦1 if x else 2¦x and a¦x or a¦not x¦x is a¦x is not None¦1 in x¦x not in a¦1 < x < 3¦x == None¦x == 'a'
lambda: 1¦(lambda: 1)()¦(lambda f: f(f))(lambda f: f(f))¦[x for x in x]¦[i for i in range(10**9)]¦(i for i in x)
{i for i in x}¦{1: 2}¦{1, 2}
{**{}}¦[*x]¦[*[1]]¦(*x,)¦(y := 1)¦(x := 5)¦[y := 5, y ** 2]¦y = 1¦x = 1¦x += 1¦del x¦pass¦return x¦yield x¦(yield)
(yield from x)¦await x¦async def f(): pass
def f(): pass¦class A: pass¦for i in x: pass¦while True: pass¦while 1: x¦with x: pass¦try: x¦raise x¦assert x¦global x
nonlocal x¦@x¦x; a
f'{x}'¦f'{x.__class__}'¦f''¦'a'¦"a"¦b'a'¦'a'.join(['b'])¦'{0.__class__}'.format(x)¦'%s' % x¦r'a'¦'''a'''¦1j¦3 + 4j¦x * 1j¦...
None¦slice(1)¦x[slice(1)]
x[0:1:0]¦x[::-1]¦x[1.5]¦x['a']¦x[None, None, None, None, None]¦x[x]¦x[99]¦x[-99]¦x[0, 0, 0]¦x[10**30]¦x[2**62]¦x[True]
x[x > 3, 0]¦x[x.float()]¦x[[[0]]]
x[[1.5]]¦x['__class__']¦x[..., ...]¦x[{}]¦x[a]¦x[()][()][()][9]¦[1, 2][5]¦[1, 2]['a']¦(1, 2)[x]¦5[0]¦x.shape[9]¦x.shape['a']
torch[0]¦torch.ones[0]
x[torch.zeros(1000).long()][:, torch.zeros(1000).long()]¦torch.ones(300, 300)[torch.zeros(400).long()]
v[torch.zeros(100, 1000, 2).long()]
x[torch.zeros(1000, 1).long(), torch.zeros(1000).long()]¦x[:, torch.zeros(99999).long()]
x[x[:, 0] > 0][:, torch.zeros(99999).long()]
x.reshape(5)¦x.reshape(-1, -1)¦x.reshape(0, -1)¦x.reshape(10**30)¦x.reshape(2**62, 0)¦x.reshape('a')¦x.reshape(x)
x.view(torch.float32)¦x.T.view(12)
x.view(1, 1, 1, 1, 1, 12, 1)¦x.permute(0)¦x.permute(0, 0)¦x.permute(5, 6)¦x.transpose(0, 9)¦x.transpose(0)¦x.squeeze(9)
x.unsqueeze(9)¦x.flip(9)¦x.flip(0, 0)
x.unsqueeze(0).unsqueeze(0).unsqueeze(0).unsqueeze(0).unsqueeze(0)¦x.sum(dim=9)¦x.sum(dim='a')¦x.sum(axis=0)
x.sum(0, 1, 2, 3, 4)¦x.sum(keepdim=1, dim=0)
x.sum(dim=(0, 0))¦x.sum(out=x)¦x.mean()¦x.std()¦x.max(dim=(0, 1))¦x.max(9)¦torch.zeros(0).max()¦torch.zeros(0).argmax()
x.item()¦x.sum().item().item()
x.softmax(9)¦x.softmax()¦x.cumsum()¦x.sort(9)¦x.topk(99)¦x.topk(-1)¦x.topk(10**30)¦x.chunk(0)¦x.chunk(10**9)¦x.chunk(-1)
x.split(0)¦torch.ones(99999).split(1)
torch.ones(99999).chunk(99999)¦x.index_select(0, x)¦x.index_select(9, v.long())
torch.ones(400, 300).index_select(0, torch.zeros(500).long())
x.masked_fill(x > 3, x)¦x.masked_fill(x, 0)¦x.masked_select(x)¦torch.where(x, x)¦torch.where(x)¦torch.where(1, x, x)
x.clamp('a')¦x.clamp()¦x.round(decimals='a')
x.to('float32')¦x.to([a])¦x.to(5)¦x.type('torch.FloatTensor')¦x.float(5)¦torch.ones(2, dtype='float')¦torch.ones(2, dtype=5)
torch.complex64¦torch.ones(2, dtype=torch.complex64)
[[0] * 999] * 999¦[[[0] * 30] * 30] * 30¦[x] * 0.5¦[x] * x¦[x] * [x]¦[[]] * 1001¦torch.tensor([[[1] * 30] * 30] * 2)
torch.add(a, v, out=x)¦torch.add(a, v, out=v)¦torch.add(a, 1, out='cpu')¦torch.add(a, 1, out=[a])
torch.mul(a, a, out=v.expand(2, 3))
torch.isnan(a, out=a)¦a.add(1, out=a)¦torch.exp(x, out=x)¦'cpu' * 10**9¦'cpu' + 'cpu'¦'cpu'.upper()
x.to('cuda:99')¦x.to('cuda:100')
x == 'cpu'¦x['cpu']¦torch.ones('cpu')¦x.to(device='a')¦x.to(device=5)¦x.to('mps')¦torch.zeros(2, 3).t_().unsqueeze(0).t_()
x.sum¦torch.sum¦torch¦torch.ones¦torch.float32¦torch.nope¦torch.nope(1)¦x.nope¦x.nope()¦nope¦nope()¦nope.nope¦ones(2)¦sum(x)
len(x)¦range(5)¦list(x)¦max(x)¦float('inf')
int('9' * 5000)¦str(x)¦bytes(10**9)¦bytearray(10**9)¦np.ones(5)¦numpy.load('f')¦os.system('id')¦sys.exit()¦os¦__builtins__
__name__¦__file__¦_¦self¦cls
x()¦x()()¦5()¦'a'()¦(x)(a)¦x[0]()¦x.T()¦x.shape()¦torch()¦torch.ones(2)()¦x.sum()()¦x.torch¦x.torch.ones(2)¦torch.torch
torch.x¦x.x
(¦)¦[¦]¦x[¦x(¦x +¦+¦* x¦x **¦x..T¦.x¦x.¦,¦:¦x,,a¦x a¦1 2¦x!¦x$¦x?¦`x`¦\\¦'¦"¦#¦# x¦;¦=¦==¦x ==¦@¦x @¦->¦:=¦!=¦~¦-¦<>¦x <> a
0777¦1__0¦0b2¦0x¦1e¦1.e.1
""".strip()

UNICODE = [
    "ｘ", "ｔｏｒｃｈ.ones(2)", "x.ｄata", "x.__ｃlass__", "𝓍", "х", "x\u200b", "x\u00a0+ 1", "“x”", "x − 1", "x × 2", "x ÷ 2",
    "（x）", "x，a", "x\u202e", "\ufeffx", "x²", "½", "٣", "x ≥ 3", "λ: 1", "张量", "x\x00", "\x00", "x\x1b[0m", "x\u2028a",
    "x\na", "x # a\na", "x;\na", "é", "🔥", "\ud800", "x.ﬂoat()", "ªx", "\r\n", "\n", " ", "", "\t", "\n\n\n", "x\x7f"]


def hostile() -> list[str]:
    """Texts that must all be refused."""
    written = [part for line in WRITTEN.splitlines() for part in line.split("¦") if part]
    wrappers = [("(", "x", ")"), ("[", "1", "]"), ("-", "x", ""), ("~", "x", ""), ("+", "x", ""), ("x[", "0", "]"),
                ("x.sum(", "0", ")"), ("torch.cat([", "x", "])"), ("(x+", "1", ")"), ("not ", "x", ""), ("lambda: ", "x", ""),
                ("{", "1", "}"), ("f'{", "x", "}'")]
    deep = [left * n + middle + right * n for left, middle, right in wrappers for n in (45, 90, 99, 140, 290, 5000, 100_000)
            if left != "(" or n > 150]  # brackets alone make no depth
    repeated = ["x+", "x.T", "x,", "a@", "x[0]", "1**", "9", "x;", "\\", "(x)", "x ", "-", "[", "(", "{", "'", "x."]
    long = [part * n for part in repeated for n in (301, 5000)]
    chains = ["x" + ".T" * 60, "x" + ".unsqueeze(0)" * 8, "+".join(["x"] * 100), "x" + "[0]" * 40, "v" + ".repeat(9)" * 9,
              "torch.ones(300, 300)" + ".repeat(2, 1)" * 4, "x" + "**9" * 30, "2" + "**2" * 30,
              "@".join(["torch.ones(316, 316)"] * 14),
              "torch.cat([" + ",".join(["torch.ones(9999)"] * 14) + "])", "+".join(["torch.ones(99999)"] * 12), "9" * 300,
              "-" * 299 + "1"]
    things = ["x", "torch", "(x + 1)", "1.5", "[1]", "x.shape", "torch.ones(2)", "torch.float32"]
    inner = ["__class__", "__subclasses__()", "__globals__", "__builtins__", "__import__('os')", "__getattribute__('data')",
             "_version", "__setstate__(1)", "__reduce_ex__(2)", "__torch_function__", "mro()", "gi_frame", "func_globals",
             "__code__"]
    names = [f"{thing}.{name}" for thing in things for name in inner]
    calls = [f"{name}({argument})" for name in ("open", "eval", "exec", "getattr", "torch.load", "x.numpy",
                                                "torch.set_default_device",
                                                "torch.ones.__call__", "x.__len__", "torch.multiprocessing.spawn")
             for argument in ("", "x", "'a'", "*x", "**x", "0", "10**10", "lambda: 1")]
    sizes = [text.format(n) for n in ("10**9", "2**40", "2**63", "1e9", "-5", "10**5 * 2", "None", "'a'", "x", "[]", "1j")
             for text in ("torch.ones({}, 2)", "torch.zeros(2, {})", "torch.full(({}, 3), 1)", "v.repeat({})", "torch.eye({})",
                          "torch.linspace(0, 1, {})", "torch.randperm({})", "v.expand({}, 3)")
             if (n, text) not in {("-5", "v.expand({}, 3)")}]
    return list(dict.fromkeys([*written, *UNICODE, *deep, *long, *chains, *names, *calls, *sizes]))
