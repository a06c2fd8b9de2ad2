"""Files that nobody should be given, each by a function that makes it: lies about sizes, bombs, loops, things that would run."""
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
import cv2
import numpy as np
from PIL import Image
from ffd_repro.corpora.videos import write_video

class Input(NamedTuple):
    "A file that is bad, or odd and yet whole."
    make:Callable   # (path that it should have) -> None
    whole:bool=False # odd but in order: it may be read; anything else has to be refused

INPUTS = {} # kind -> {name: Input}

def put(kind, name, make, whole=False):
    "Register an input; `make` is a function of the path, or its bytes."
    data = make
    INPUTS.setdefault(kind, {})[name] = Input((lambda path: path.write_bytes(data)) if isinstance(make, bytes) else make, whole)

def tenths(data): return {f'cut after {k}0 %': data[:len(data)*k//10] for k in range(1, 10)}

# what any path can be
def loop(path): path.symlink_to(path.name)
def fifo(path): os.mkfifo(path)
def endless(path): path.symlink_to('/dev/zero')
def unix_socket(path):
    here = os.getcwd()
    os.chdir(path.parent) # names of sockets are short
    with socket.socket(socket.AF_UNIX) as s: s.bind(path.name)
    os.chdir(here)

PLACES = {'a folder': lambda path: path.mkdir(), 'a link to itself': loop, 'a link to nothing': lambda path: path.symlink_to('nothing'),
          'a pipe nobody writes': fifo, 'a link to /dev/zero': endless, 'a socket': unix_socket, 'nothing there': lambda path: None}
class Evil: # what a pickle may do to whoever loads it
    def __reduce__(self): return os.system, ('touch opened',)

PICKLE = pickle.dumps(Evil(), 2)
JUNK = {'empty': b'', 'a pickle': PICKLE, 'noise': np.random.default_rng(0).bytes(5000), 'zeros': bytes(1 << 20),
        'a script': b'#!/bin/sh\ntouch opened\n',
        'a page': b'<!doctype html><title>404 Not Found</title><p>The file has moved.'}

def anywhere(kind, places=PLACES, junk=JUNK):
    for name, make in {**places, **junk}.items(): put(kind, name, make)

# pictures
@lru_cache
def picture(suffix='.png', side=48):
    ramp = np.add.outer(np.arange(side), 3*np.arange(side))[..., None]*np.array([1, 2, 3]) % 256
    return cv2.imencode(suffix, ramp.astype(np.uint8))[1].tobytes()

def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

def png(width, height, data=b'', more=b'', bits=8, color=2):
    head = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + more + chunk(b'IDAT', data or zlib.compress(bytes(100))) + chunk(b'IEND', b'')

@lru_cache
def dark(width, height): # one bit a pixel
    z = zlib.compressobj(1)
    return png(width, height, b''.join([z.compress(bytes((width + 7)//8 + 1)) for _ in range(height)] + [z.flush()]), bits=1, color=0)

def jpeg_claims(width, height):
    data = bytearray(picture('.jpg'))
    at = data.index(b'\xff\xc0')
    data[at+5:at+9] = struct.pack('>HH', height, width)
    return bytes(data)

def bmp_claims(width, height):
    data = bytearray(picture('.bmp'))
    data[18:26] = struct.pack('<ii', width, height)
    return bytes(data)

def saved(mode='RGB', size=(48, 48), **how):
    out, frames = io.BytesIO(), [Image.new(mode, size, k) for k in range(how.pop('frames', 1))]
    frames[0].save(out, **how, **dict(save_all=True, append_images=frames[1:]) if frames[1:] else {})
    return out.getvalue()

anywhere('image')
for end in ('.png', '.jpg', '.webp', '.bmp'):
    for name, data in tenths(picture(end)).items(): put('image', f'{end[1:]} {name}', data)
put('image', 'png that claims 100000x100000', png(100000, 100000))
put('image', 'png that claims 2^31-1', png(2**31 - 1, 2**31 - 1))
put('image', 'png of no pixel', png(0, 0))
put('image', 'png whose data end at once', png(2000, 2000))
put('image', 'png with a wrong sum', picture()[:60] + b'\0\0' + picture()[62:])
put('image', 'png of 10^9 black pixels', lambda path: path.write_bytes(dark(40000, 25000)))
put('image', 'jpeg that claims 65500x65500', jpeg_claims(65500, 65500))
put('image', 'jpeg that claims 25000x25000', jpeg_claims(25000, 25000))
put('image', 'bmp that claims 100000x100000', bmp_claims(100000, 100000))
put('image', 'bmp of negative width', bmp_claims(-48, 48))
put('image', 'pnm that claims 100000x100000', b'P6 100000 100000 255 ' + bytes(99))
put('image', 'hdr that claims 100000x100000', b'#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n\x02\x02')
put('image', 'tiff whose first page is its next', b'II*\0\x08\0\0\0\0\0\x08\0\0\0')
put('image', 'svg with an entity that grows', b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaa">' + b''.join(
    b'<!ENTITY %c "&%c;&%c;&%c;&%c;">' % (k + 1, k, k, k, k) for k in range(97, 115)) + b']><svg>&s;</svg>')
put('image', 'a video', lambda path: path.write_bytes(clip()))
put('image', 'png of one pixel', png(1, 1, zlib.compress(bytes(4))), whole=True)
put('image', 'png of 16 bits', cv2.imencode('.png', np.full((48, 48, 3), 40000, np.uint16))[1].tobytes(), whole=True)
put('image', 'png with a palette', saved('P', format='PNG'), whole=True)
put('image', 'png with alpha', saved('RGBA', format='PNG'), whole=True)
put('image', 'png that moves', saved(frames=3, format='PNG'), whole=True)
put('image', 'png with a text of 100 MB', png(1, 1, zlib.compress(bytes(4)), chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(10**8), 1))),
    whole=True)
put('image', 'gif that moves', saved('P', frames=3, format='GIF'), whole=True)
put('image', 'webp that moves', saved(frames=3, format='WEBP'), whole=True)
put('image', 'jpeg in four colours', saved('CMYK', format='JPEG'), whole=True)
put('image', 'jpeg turned by a note of nonsense',
    saved(format='JPEG', exif=b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\xff\xff\xff\xff'),
    whole=True)
put('image', 'tiff of floats', cv2.imencode('.tiff', np.full((48, 48), 1e30, np.float32))[1].tobytes())
put('image', 'a strip of 1x60000', saved('L', (60000, 1), format='PNG'), whole=True)

# videos
@lru_cache
def clip(n=12):
    from ffd_repro.base.paths import scratch
    with scratch() as folder:
        write_video(folder/'x.mp4', [np.roll(np.tile(np.arange(64, dtype=np.uint8)[None, :, None]*3, (48, 1, 3)), k, 1) for k in range(n)])
        return (folder/'x.mp4').read_bytes()

def field(box, at, value):
    "The clip with some bytes of one of its boxes replaced."
    data = bytearray(clip())
    start = data.index(box) + 4 + at
    data[start:start+len(value)] = value
    return bytes(data)

def box(kind, data=b''): return struct.pack('>I', 8 + len(data)) + kind + data
def nested(depth):
    data = b''
    for _ in range(depth): data = box(b'moov', data)
    return box(b'ftyp', b'isom\0\0\0\0isom') + data

def other(text): # a text that names a clip outside of the folder
    def make(path):
        (path.parent.parent/'beside').mkdir(exist_ok=True)
        (path.parent.parent/'beside'/'other.mp4').write_bytes(clip())
        path.write_text(text.format(path.parent.parent/'beside'/'other.mp4'))
    return make

anywhere('video')
for name, data in tenths(clip()).items(): put('video', f'mp4 {name}', data)
put('video', 'mp4 of 2^31 frames', field(b'stsz', 8, struct.pack('>I', 2**31 - 1)))
put('video', 'mp4 whose frames are 4 GB each', field(b'stsz', 4, struct.pack('>II', 2**32 - 1, 12)))
put('video', 'mp4 whose data lie beyond its end', field(b'stco', 8, struct.pack('>I', 2**32 - 16)))
put('video', 'mp4 that claims 65535x65535', field(b'avc1', 24, struct.pack('>HH', 65535, 65535)), whole=True)
put('video', 'mp4 without time', field(b'mdhd', 12, struct.pack('>I', 0)), whole=True)
put('video', 'mp4 of 2^32 seconds', field(b'mvhd', 16, struct.pack('>I', 2**32 - 1)), whole=True)
put('video', 'mp4 of boxes in boxes', nested(20000))
put('video', 'mp4 of an unknown codec', clip().replace(b'avc1', b'zzzz'))
put('video', 'ftyp and noise', box(b'ftyp', b'isom\0\0\0\0isom') + np.random.default_rng(1).bytes(5000))
put('video', 'a list of other files', other('ffconcat version 1.0\nfile {}\n'))
put('video', 'a playlist of other files', other('#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{}\n#EXT-X-ENDLIST\n'))
put('video', 'a playlist of an address', b'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.mp4\n#EXT-X-ENDLIST\n')
put('video', 'a session on the network',
    b'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n')
put('video', 'y4m that claims 100000x100000', b'YUV4MPEG2 W100000 H100000 F25:1 Ip A1:1 C420\nFRAME\n' + bytes(99))
put('video', 'y4m of negative size', b'YUV4MPEG2 W-8 H-8 F25:1 Ip A1:1 C420\nFRAME\n' + bytes(99))
put('video', 'y4m of no rate', b'YUV4MPEG2 W8 H8 F0:0 Ip A1:1 C420\nFRAME\n' + bytes(96), whole=True)
put('video', 'avi that claims 100000x100000', b'RIFF\xff\xff\xff\x7fAVI LIST\xc0\0\0\0hdrlavih8\0\0\0' + bytes(32) + struct.pack('<II',
    100000, 100000) + bytes(200))
put('video', 'mkv of endless size', b'\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff' + bytes(500))
put('video', 'a picture', picture('.jpg'))
put('video', 'a sound', b'RIFF$\x08\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data\0\x08\0\0' + bytes(2048))
put('video', 'a gif that moves', saved('P', frames=3, format='GIF'), whole=True)

# archives
def tar(*members, mode='w', **more):
    "A tar of (name, bytes) or TarInfo."
    def make(path):
        with tarfile.open(path, mode, **more) as t:
            for m in members:
                info = m if isinstance(m, tarfile.TarInfo) else tarfile.TarInfo(m[0])
                data = b'' if isinstance(m, tarfile.TarInfo) else m[1]
                if not isinstance(m, tarfile.TarInfo): info.size = len(data)
                t.addfile(info, io.BytesIO(data))
    return make

def member(name, kind=tarfile.REGTYPE, to='', size=0, **pax):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.pax_headers = kind, to, size, pax
    return info

@lru_cache
def plain_tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as t:
        for k in range(4):
            info = tarfile.TarInfo(f'0/real/{k}.png')
            info.size = len(picture())
            t.addfile(info, io.BytesIO(picture()))
    return out.getvalue()

@lru_cache
def block(of): return gzip.compress(of*(1 << 24), 1) # 16 MB

def bomb(path, size=4*10**9):
    "A picture of 4 GB of zeros, in 20 MB."
    head = member('0/real/0.png', size=size).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(gzip.compress(head) + block(b'\0')*(size//(1 << 24) + 1) + gzip.compress(bytes(10240)))

def zipped(path):
    with zipfile.ZipFile(path, 'w') as z: z.writestr('0/real/0.png', picture())

anywhere('archive')
for name, data in tenths(plain_tar().rstrip(b'\0')).items(): put('archive', f'tar {name}', data)
for name, data in list(tenths(gzip.compress(plain_tar())).items())[::4]: put('archive', f'tar.gz {name}', data)
put('archive', 'a member in the folder above', tar(('../0.png', picture())))
put('archive', 'a member deep inside that leads out', tar(('0/real/../../../0.png', picture())))
put('archive', 'a member with an absolute name', tar(('/tmp/0.png', picture())))
put('archive', 'a member on another drive', tar(('C:\\0.png', picture())))
put('archive', 'a member with foreign separators', tar(('0\\..\\..\\0.png', picture())))
put('archive', 'a link', tar(member('0/real/0.png', tarfile.SYMTYPE, '/etc/passwd')))
put('archive', 'a hard link', tar(member('0/real/0.png', tarfile.LNKTYPE, '../../etc/passwd')))
put('archive', 'a device', tar(member('0/real/0.png', tarfile.CHRTYPE)))
put('archive', 'a pipe', tar(member('0/real/0.png', tarfile.FIFOTYPE)))
put('archive', 'a folder that is a link, and a file in it', tar(member('0', tarfile.SYMTYPE, '/tmp'), ('0/0.png', picture())))
put('archive', 'a member that claims 10^15 bytes', member('0/real/0.png', size=10**15).tobuf(tarfile.GNU_FORMAT) + bytes(10240))
put('archive', 'a member of negative size', tar(member('0/real/0.png', size=0, size_='-1'), format=tarfile.PAX_FORMAT,
                                                pax_headers={'size': '-512'}))
put('archive', 'a picture of 4 GB in 20 MB', bomb)
put('archive', 'a member that is no picture', tar(('0/real/0.png', b'junk')))
put('archive', 'a member whose name ends early', tar(('0/real/0.png\0/../../x', picture())), whole=True)
put('archive', 'a name of 20000 letters', tar(('0/real/' + 'a/'*10000 + '0.png', picture())), whole=True)
put('archive', 'the same member twice', tar(('0/real/0.png', picture()), ('0/real/0.png', picture('.jpg'))), whole=True)
put('archive', 'no picture in it', tar(('0/real/notes.txt', b'x')))
put('archive', 'a zip', zipped)
put('archive', 'xz of noise', lzma.compress(np.random.default_rng(2).bytes(3000)))

# texts: JSON
DEEP = {'nested lists': b'['*200000, 'nested and closed': b'['*200000 + b']'*200000, 'nested objects': b'{"a":'*200000}
JSONS = DEEP | {
    'null': b'null', 'a number': b'5', 'a word': b'"train"', 'a list of numbers': b'[1, 2, 3]', 'a list of lists of lists': b'[[[1]]]',
    'numbers for objects': b'{"a.mp4": 1, "0.mp4": 2}', 'lists for objects': b'{"0.mp4": [[1]], "boxes": 5}',
        'not a number': b'[[NaN, 1]]', 'infinite': b'{"0.mp4": Infinity}',
    'a number of 100000 digits': b'[[' + b'9'*100000 + b', 1]]', 'half of it': b'[["000", "0',
        'twice the same key': b'{"0.mp4": 1, "0.mp4": {}}',
    'half a surrogate': b'[["\\ud800", "\\udfff"]]', 'UTF-16': '[["000", "001"]]'.encode('utf-16'),
        'Latin-1': '[["é", "1"]]'.encode('latin-1'),
    'NUL bytes': b'[["0\0", "1"]]', 'two values': b'[] []', 'a comment': b'// x\n[]', 'Python': b'__import__("os").system("touch opened")'}
anywhere('json')
for name, data in JSONS.items(): put('json', name, data)

# texts: tables
@lru_cache
def wide(): return (','.join(map(str, range(10**6))) + '\n' + '1,'*10**6).encode()

TABLES = {'a million columns': lambda path: path.write_bytes(wide()),
          'a quote that is never closed': b'video,label,score,path\n"' + b'a,b\n'*200000,
          'a field of 20 MB': b'video,label,score,path\n' + b'a'*20_000_000 + b',1,.5,a.mp4\n', 'a first line of 20 MB': b'a'*20_000_000,
          'more cells than columns': b'video,label,score,path\na,1,.5,a.mp4,x,y,z\n',
              'NUL bytes in it': b'video,label,score,path\na\0,1,.\x005,a.mp4\n',
          'UTF-16': 'video,label,score,path\na,1,.5,a.mp4\n'.encode('utf-16'),
              'Latin-1': 'video,label,score,path\né,1,.5,é.mp4\n'.encode('latin-1'),
          'only a head': b'video,label,score,path,filename,fake,real,persona\n', 'only line ends': b'\n'*1000,
              'foreign columns': b'a,b\n1,2\n',
          'line ends of 1984': b'video,label,score,path\ra,1,.5,/etc/passwd\r',
              'files outside': b'video,label,score,path,file,identity,filename,fake,real,persona\n'
          + b'../../beside/canary,1,.5,../../beside/canary,../../beside/canary,x,../../beside/canary,../../beside/canary,/etc/passwd,x\n',
          'names with NUL': b'video,label,score,path,file,identity,filename,fake,real,persona\n' +
              b'a\0b,1,.5,a\0b,a\0b,x,a\0b,a\0b,a\0b,x\n',
          'names of 5000 letters': b'video,label,score,path,file,identity,filename,fake,real,persona\n' + b','.join([b'a'*5000, b'1',
              b'.5'] + [b'a'*5000]*6) + b'\n'}
anywhere('table')
for name, data in TABLES.items(): put('table', name, data)

# predictions
def parquet(path, **columns):
    import pandas as pd
    pd.DataFrame(columns).to_parquet(path)

def rows(*lines, head='video,label,score'): return '\n'.join([head, *lines]).encode()

for name, data in {
        'infinite': rows('a,1,inf', 'b,0,0'), 'beyond all numbers': rows('a,1,1e400', 'b,0,0'),
            'not a number at all': rows('a,1,nan', 'b,0,nan'),
        'hexadecimal': rows('a,1,0x1', 'b,0,0'), 'a comma in a number': rows('a,1,"0,5"', 'b,0,0'),
            'a formula': rows('a,1,"=cmd|\' /C calc\'!A0"', 'b,0,0'),
        'a label of 2': rows('a,2,.5', 'b,0,0'), 'labels that are no labels': rows('a,__import__("os"),.5', 'b,0,0'),
            'negative': rows('a,1,-1', 'b,0,0'),
        'two columns alike': rows('a,1,.5,.6', head='video,label,score,score'), 'both real and fake': rows('a,1,.5', 'a,0,.5'),
        'the same row twice': rows('a,1,.5', 'a,1,.5'), 'one class': rows('a,1,.5', 'b,1,.4'), 'no name': rows(',1,.5', 'b,0,.4'),
        'a row and nothing else': rows('a,1,.5')}.items():
    put('predictions', name, data, whole=name in ('one class', 'a row and nothing else'))
for name, data in JUNK.items(): put('compressed', name, data)
for name, data in PLACES.items(): put('compressed', name, data)
put('compressed', 'cut short', gzip.compress(rows(*(f'{k},{k%2},.5' for k in range(999))))[:-40])
put('compressed', '4 GB of line ends', lambda path: path.write_bytes(block(b'\n')*256))
put('compressed', '4 GB in a line', lambda path: path.write_bytes(block(b'a')*256))
anywhere('parquet')
put('parquet', 'a foot of 2 GB', b'PAR1' + bytes(100) + struct.pack('<I', 2**31 - 1) + b'PAR1')
put('parquet', 'a foot of noise', b'PAR1' + np.random.default_rng(3).bytes(200) + struct.pack('<I', 150) + b'PAR1')
put('parquet', 'lists in cells', lambda path: parquet(path, video=[['a'], ['b']], label=[[1], [0]], score=[[.5], [.4]]))

# weights
def tensors(header, data=b'', size=None):
    head = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack('<Q', len(head) if size is None else size) + head + data

def one(dtype='F32', shape=(2,), at=(0, 8)): return {'w': dict(dtype=dtype, shape=list(shape), data_offsets=list(at))}
def sparse(path): # says and has 100 GB, none of which was ever written
    head = tensors(one(shape=(25*10**9,), at=(0, 10**11)))
    path.write_bytes(head)
    os.truncate(path, len(head) + 10**11)

anywhere('weights')
for name, data in {
        'a head of 2^63 bytes': tensors(one(), bytes(8), 2**63), 'a head of 2^64 bytes': tensors(one(), bytes(8), 2**64 - 1),
        'a head longer than the file': tensors(one(), bytes(8), 10**6), 'a head of no bytes': tensors(b''),
            'a head of nested lists': tensors(b'['*90000),
        'an offset beyond the end': tensors(one(at=(0, 10**12)), bytes(8)), 'an offset before the beginning': tensors(one(at=(-8, 0)),
            bytes(8)),
        'offsets in the wrong order': tensors(one(at=(8, 0)), bytes(8)), 'a shape of 2^62': tensors(one(shape=(2**31, 2**31)), bytes(8)),
        'a shape that overflows': tensors(one(shape=(2**32, 2**32, 4)), bytes(8)), 'a negative shape': tensors(one(shape=(-2,)), bytes(8)),
        'a type that nobody knows': tensors(one(dtype='Q7'), bytes(8)), 'two tensors in one place': tensors({**one(), 'v': one()['w']},
            bytes(8)),
        'a head that is a list': tensors([1, 2]), 'other weights': tensors(one(), bytes(8)),
            'a name twice': tensors(json.dumps(one())[:-1].encode() + b','
        + json.dumps(one())[1:].encode(), bytes(8))}.items(): put('weights', name, data)
put('weights', '100 GB that were never written', sparse)
put('weights', 'a pickle of torch', lambda path: torch_pickle(path))
put('weights', 'a zip', zipped)

def torch_pickle(path):
    import torch
    torch.save({'w': Evil()}, path)

# what is said of weights: changes to facts that are right
def instead(make): # of the facts that lie there
    def change(path):
        path.unlink()
        make(path) if callable(make) else path.write_bytes(make)
    return change
for name, make in {**PLACES, **JUNK, **JSONS}.items(): put('facts', name, instead(make))
RATE = dict(rate=.04, lo=.01, hi=.1, people=60)
MARKS = dict(threshold=.9, low=.1, share=.05, false_alarms=RATE, caught=RATE, misses=RATE)
LIKE = dict(names=['brightness'], mean=[0], scale=[1], precision=[1], limit=3., share=.05)
WRONG = dict(side=[0, -1, 10**9, 2**70, 1.5, None, '32', True], detector=['nobody', '../x', '$(touch opened)', 5, ['ldfnet'], ''],
             setting=['nobody', 5, ''],
             tiny=['yes', 2, False], mean=[[], [1], ['a', 'b', 'c'], [1e308, 1, 1], [[1], [2], [3]]], std=[[0, 0, 0], [.5, .5, -1], [.5]*4],
             golden=[[], [[1]], [[0, 0], [0]], [['a', 'b']]*4, [[0, 0]]*4], sha256=['', '0'*64, 5], format=['ffd_repro 2', None], data=[5],
             calibration=[5, {}, dict(frames=0, video=MARKS, frame=MARKS), dict(frames=4, video=None, frame=MARKS),
                          dict(frames=4, video=dict(MARKS, threshold='.9'), frame=MARKS), dict(frames=4, video=MARKS,
                                                                                               frame=dict(MARKS, misses={}))],
             likeness=[5, {}, dict(video=LIKE), dict(video=5, frame=LIKE), dict(video=LIKE, frame=dict(LIKE, names=['nobody'])),
                       dict(video=LIKE, frame=dict(LIKE, scale=[0])), dict(video=dict(LIKE, precision=[1, 2]), frame=LIKE)],
             finder=[5, 'opencv', dict(name='nobody'), dict(name=['x']), dict(name='opencv', fit=[1]),
                     dict(name='opencv', fit=['a', 'b', 'c'])],
             margin=[0, -1, 1e9, 'x', [1]])
def facts_with(name, value):
    def change(path): path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    return change
for key, values in WRONG.items():
    for value in values:
        put('facts', f'{key} of {str(value)[:60]}', facts_with(key, value), whole=(key, value) in (('tiny', False), ('likeness', {})))

# arrays
def npy(header, data=b''):
    head = header.encode() + b'\n'
    return b'\x93NUMPY\x01\0' + struct.pack('<H', len(head)) + head + data

anywhere('array', places={})
for name, data in {
        'objects': npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", PICKLE), 'a shape of 10^15': npy(
            "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 100000, 1000, 3), }", bytes(99)),
        'a negative shape': npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 8, 8, 3), }", bytes(99)),
        'code for a head': npy("__import__('os').system('touch opened')"), 'nested brackets for a head': npy('('*9000),
        'no pictures': npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
        'text': npy("{'descr': '<U8', 'fortran_order': False, 'shape': (1,), }", bytes(32))}.items(): put('array', name, data)

# checkpoints: their seal is right, since anybody can make one
def sealed(make):
    def write(path):
        make(path)
        path.write_bytes((data := path.read_bytes()) + hashlib.sha256(data).digest())
    return write
anywhere('checkpoint', places={})
put('checkpoint', 'a sealed pickle', sealed(lambda path: path.write_bytes(PICKLE)))
put('checkpoint', 'a sealed pickle of torch', sealed(torch_pickle))
put('checkpoint', 'a sealed list', sealed(lambda path: __import__('torch').save([1, 2], path)))
put('checkpoint', 'a sealed state of nothing', sealed(lambda path: __import__('torch').save({}, path)))

# what is not held yet: (door, input) -> where
OPEN = {('read_video', 'mp4 whose frames are 4 GB each'): 'corpora.videos._promised lets an error of PyAV through',
        ('read_photographs', 'a link to itself'): 'corpora.lfw.people_folders asks a link to itself whether it is a folder',
        ('answer',
         'ffd_train meso_inception4 --train HFF --profile smoke-limit' + '9'*5000): 'base.profiles.FORM takes a number of any length'}
for what in ('a sealed list', 'a sealed state of nothing'):
    OPEN['load_checkpoint', what] = 'training.checkpoints.load_checkpoint takes a state for a dictionary'
for what in ('empty', 'a negative shape', 'nested brackets for a head', 'no pictures', 'text'):
    OPEN['open_store', what] = 'faces.loading._load takes what NumPy gives, and lets some of its errors through'

# command lines: words -> what the answer has to say
LINES = {}
def line(words, says): LINES[words] = says
for value in ('-1', '1', '99999'): line(f'ffd_extract folder --root IN --side {value}', 'side')
for value in ('-1', 'nan', 'inf', '-inf', '1e300'): line(f'ffd_extract folder --root IN --margin {value}', 'margin')
for value in ('first:-1', 'every:0', 'every:2x0', 'even:0', 'even:x', 'x'*5000,
              '$(touch${IFS}opened)'): line(f'ffd_extract folder --root IN --sampling {value}', 'sampl|frames')
for value in ('-3', '99999'): line(f'ffd_extract folder --root IN --workers {value}', 'workers')
for value in ('../x', '$(touch${IFS}opened)', ''.join(map(chr, range(33, 39)))):
    line(f'ffd_extract folder --root IN --detector {value}', 'There is no')
line('ffd_extract folder --root IN --after -1', 'after')
line('ffd_extract folder --root IN --every -1', 'every')
line('ffd_extract folder --root IN --missing all', 'missing')
line('ffd_extract folder --root IN/real/0.png', 'folder')
line('ffd_extract folder --root IN --workers 1 --out FILE', 'left alone|No face')
line('ffd_extract folder --root IN --workers 1 --out PIPE', 'left alone|No face')
line("ffd_extract FF++-LQ:'; --root IN", 'not a view')
line('ffd_extract ../../etc --root IN', 'There is no corpus')
for value in ('nowhere', 'FILE', 'PIPE', 'LOOP', '/dev/null', 'x'*5000): line(f'ffd_doctor {value}', 'folder|corpus|read')
for option, value, says in (('--workers', 'x', 'invalid int'), ('--clips', 'nan', 'invalid int'),
                            ('--corpus', '../x', 'There is no corpus'), ('--json', 'FOLDER', 'written')):
    line(f'ffd_doctor IN {option} {value}', says)
for value in ('nowhere', 'FOLDER', 'PIPE', 'LOOP', '/dev/zero'): line(f'ffd_score {value}', 'file|read')
for option, value, says in (('--missing', 'all', 'policy'), ('--columns', 'x', 'columns'), ('--columns', 'score=nothing', 'no column'),
                            ('--least', 'nan', 'least'), ('--least', '-1', 'least'),
                            ('--least', '2', 'least'), ('--group', 'x', 'group'), ('--json', 'FOLDER', 'written'),
                                ('--truth', 'FOLDER', 'file'), ('--kit', 'FILE', 'written')):
    line(f'ffd_score SCORES {option} {value}', says)
for option, value, says in (('--weights', '../../x', 'no weights'), ('--weights', 'FILE', 'no weights'), ('--frames', '-5', 'frames'),
                            ('--frames', '1e3', 'invalid int'),
                            ('--finder', '$(x)', 'There is no'), ('--out', 'FILE',
                                                                  'written')): line(f'ffd_detect IN/real/0.png {option} {value}', says)
for value in ('nowhere', 'PIPE', 'LOOP'): line(f'ffd_detect {value}', 'file or folder|photo|pipe')
for option, value, says in (('--epochs', '-1', 'epochs'), ('--epochs', '0', 'epochs'), ('--batch', '0', 'batch'),
                            ('--batch', '-8', 'batch'), ('--lr', 'nan', 'lr|learning'), ('--lr', '-1', 'lr|learning'),
                            ('--lr', 'inf', 'lr|learning'), ('--seed', '-1', 'seed'), ('--seed', str(2**70), 'seed'),
                                ('--augment', '$(x)', 'There is no|augment'), ('--recipe', '../x', 'There is no'),
                            ('--setting', "';x", 'There is no'), ('--train', '`x`', 'There is no|not a view'),
                                ('--tests', 'HFF|crf=nan', 'crf|level|treat'), ('--profile', 'smoke;x', 'There is no'),
                            ('--profile', 'smoke-limit' + '9'*5000, 'There is no|limit'), ('--protocol', 'side=-1', 'side'),
                                ('--protocol', 'x=$(x)', 'protocol|switch|There is no')):
    line(f'ffd_train meso_inception4 --train HFF {option} {value}', says)
line('ffd_train ../../x', 'There is no detector')
for value in ('', '/', 'a/b/c', '../../etc/passwd', 'ldfnet/$(x)', "ldfnet/table-3';x", '{target}',
              'x'*5000): line(f'ffd_page {value or "EMPTY"}', 'There is no')
line('ffd_page ldfnet/table-3 --profile ../x', 'There is no')
line('ffd_report --profile $(x)', 'There is no')
for option, value, says in (('--targets', 'EMPTY', 'There is no'), ('--targets', ',', 'There is no'),
                            ('--targets', 'ldfnet/table-3;x', 'There is no'), ('--profile', '../x', 'There is no'),
                            ('--jobs', '0', 'jobs'), ('--jobs', '-2', 'jobs'), ('--limit', '-1', 'limit|There is no'),
                                ('--tflops', 'nan', 'tflops'), ('--tflops', '-1', 'tflops'),
                            ('--cluster', '/dev/null', 'Snakemake'), ('--cluster', '$(x)', 'Snakemake'), ('--minutes', '-1', 'minutes'),
                                ('--cards', '-1', 'cards')):
    line(f'ffd_reproduce --targets lda/table-9 {option} {value}', says)
for option, value, says in (('--setting', '../x', 'There is no'), ('--share', 'nan', 'share'), ('--share', '2', 'share'),
                            ('--people', '-1', 'people'), ('--seed', '-1', 'seed|kept|run'),
                            ('--finder', '../x', 'There is no|not on this machine'), ('--profile', '../x',
                                                                                      'There is no')):
    line(f'ffd_export ldfnet {option} {value}', says)
line('ffd_export ../../etc/passwd', 'There is no')
line('ffd_faces ../x', 'There is no')
line('ffd_faces HFF --protocol x=1', 'protocol|switch|There is no')
line('ffd_corpus ../x', 'There is no')
line('ffd_corpus UADFV --out FILE', 'FILE|folder|written')
line('ffd_corpus UADFV --profile $(x)', 'There is no')
for value in ('nowhere', 'FILE', 'PIPE', 'LOOP', 'FOLDER'): line(f'ffd_photographs {value}', 'folder|photographs')
for option, value, says in (('--methods', '$(x)', 'There is no|method'), ('--people', '-1', 'people'),
                            ('--per_photo', '0', 'per.photo|forger'), ('--per_photo', '-1', 'per.photo|forger')):
    line(f'ffd_photographs IN {option} {value}', says)
for value in ('-1', '0', str(2**40)): line(f'ffd_check meso_inception4 --side {value}', 'side|pixels')
line('ffd_check ../x', 'There is no')
line('ffd_list $(x)', 'There is no')
line('ffd $(x)', 'There is no')
line('ffd_train meso_inception4 --epochs 1e400', 'invalid')

def with_things(path):
    "What words of command lines name."
    path.mkdir(parents=True)
    for side in ('real', 'fake'):
        (path/side).mkdir()
        (path/side/'0.png').write_bytes(picture())
    things = path.parent/'things'
    things.mkdir()
    (things/'folder').mkdir()
    (things/'file').write_text('a file')
    os.mkfifo(things/'pipe')
    loop(things/'loop')
    (things/'scores.csv').write_text('video,label,score\na,1,.5\nb,0,.4\n')

for words in LINES: put('line', words, with_things)

# a folder of everything
def sound(path):
    import av
    with av.open(str(path), 'w', format='mp4') as out:
        track = out.add_stream('aac', rate=16000, layout='mono')
        for k in range(9):
            f = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.float32), format='fltp', layout='mono')
            f.sample_rate, f.pts = 16000, 640*k
            out.mux(track.encode(f))
        out.mux(track.encode())

GOOD = ('0.png', '1.jpg', 'one frame.mp4', 'clip.mp4')
NAMES = (b'quote"\'`.png', b'$(touch opened);touch opened.png', '😀 顔.png'.encode(), b'a'*250 + b'.png', b'-rf.png', b'{x} %s%n.png',
         b'a,b;c=d|e.png', '\u202egnp.png'.encode(), b'<b>.png') # odd, and in order
UNREADABLE = (b'two\nlines.png', b'caf\xe9.png') # as names in a corpus; a detector does not mind
HIDDEN = ('.hidden.png', '._0.png', '.DS_Store')
OTHERS = ('Thumbs.db', 'all.zip', 'notes.txt')

def good_ones(folder):
    "Photos and clips that are to be read whatever lies beside them."
    from ffd_repro.faces.detection import drawn_face
    for side, mouth in (('real', .1), ('fake', .2)):
        (folder/side).mkdir(parents=True)
        for n, name in enumerate(GOOD[:2]):
            (folder/side/name).write_bytes(cv2.imencode(name[1:], drawn_face(95 + 5*n, mouth=mouth, seed=n)[..., ::-1])[1].tobytes())
        for n, name in enumerate(GOOD[2:]):
            write_video(folder/side/name, [drawn_face(80 + 2*k, mouth=mouth, seed=k) for k in range(1 + 5*n)])

def everything(folder):
    "The same among all that people keep in folders and all that others may put there; gives the names of what is bad."
    good_ones(folder)
    d, before = folder/'real', {p.name for p in (folder/'real').iterdir()}
    film, photo, jpeg = ((d/n).read_bytes() for n in ('clip.mp4', '0.png', '1.jpg'))
    files = {'empty.mp4': b'', 'empty too.png': b'', 'text.mp4': b'a text\n', 'text too.png': b'a text\n', 'page.jpg': JUNK['a page'],
             'cut.mp4': film[:len(film)*2//3], 'cut too.png': photo[:len(photo)//2], 'cut as well.jpg': jpeg[:len(jpeg)//2],
             'a photo.mp4': photo, 'a clip.png': film, 'noise.mp4': JUNK['noise'], 'bomb.png': dark(40000, 25000), 'zip.mp4': b'PK\3\4'}
    for name, data in files.items(): (d/name).write_bytes(data)
    makes = {'sound.mp4': sound, 'broken.mp4': lambda p: p.symlink_to('nothing'), 'loop.png': loop, 'pipe.mp4': fifo, 'pipe too.png': fifo,
             'zero.mp4': endless, 'zero too.png': endless, 'socket.mp4': unix_socket, 'out.png': lambda p: p.symlink_to('/etc/passwd')}
    for name, make in makes.items(): make(d/name)
    bad = {p.name for p in d.iterdir()} - before
    for name in (*HIDDEN, *OTHERS): (d/name).write_bytes(JUNK['noise'])
    for name in (*NAMES, *UNREADABLE): (folder/os.fsdecode(b'real/' + name)).write_bytes(photo)
    for name in ('x.mp4', 'full.mp4'): (d/name).mkdir()
    (d/'full.mp4'/'notes.txt').write_text('a text')
    (d/'round').symlink_to('..')
    (folder/'__MACOSX'/'real').mkdir(parents=True)
    (folder/'__MACOSX'/'real'/'._0.png').write_bytes(bytes(9))
    return bad
