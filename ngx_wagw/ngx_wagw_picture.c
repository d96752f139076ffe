/*
 * The process that decodes pictures (ngx_wagw_picture.h).  Before it reads a
 * byte it gives up everything but read, write and exit; memory it has taken
 * beforehand, as much as it may ever use.
 */

#include "ngx_wagw_picture.h"
#include "../core/media/media.h"

#include <gif_lib.h>
#include <malloc.h>
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/seccomp.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <jpeglib.h>

#define PICTURE_HEAP (288 * 1024 * 1024)
#define PICTURE_FILE (24 * 1024 * 1024)    /* of a format whose decoder wants the file in one piece */
#define PICTURE_PIXELS (36 * 1000 * 1000)  /* of one that is in memory as a whole */
#define PICTURE_STREAM (200 * 1000 * 1000) /* of one that is read row by row */
#define PICTURE_SIDE 65500                 /* what JPEG can say */
#define PICTURE_SECONDS 20                 /* of CPU */
#define PICTURE_QUALITY 88

#define THUMB_WIDTH 32
#define THUMB_HEIGHT 160
#define THUMB_QUALITY 50

#define SQUARE_SIDE 640
#define SQUARE_QUALITY 85

typedef struct {
    uint32_t width, height; /* as stored */
    unsigned orientation;
    uint32_t tw, th; /* of the thumbnail, as shown */
    bool square;
    uint32_t x0, y0, w, h; /* what the thumbnail is made of, as shown */
    uint64_t (*sum)[3];    /* tw * th */
    uint32_t *count;
    bool animated;
    uint8_t *pixels; /* RGB, when all of it is in memory */
} picture_t;

static picture_t pic;

/* ---- in and out ---- */

__attribute__((noreturn)) static void picture_exit(void)
{
    for (;;) {
        syscall(SYS_exit, 0); /* exit_group() is not allowed any more */
    }
}

static void picture_write(const void *data, size_t n)
{
    ssize_t put;
    const uint8_t *p = data;

    while (n) {
        put = write(1, p, n);
        if (put <= 0) {
            picture_exit();
        }
        p += put;
        n -= (size_t)put;
    }
}

static size_t picture_read(uint8_t *p, size_t n)
{
    ssize_t got;
    size_t have = 0;

    while (have < n) {
        got = read(0, p + have, n - have);
        if (got <= 0) {
            break;
        }
        have += (size_t)got;
    }
    return have;
}

__attribute__((noreturn)) static void picture_refuse(ngx_wagw_picture_verdict_t why)
{
    ngx_wagw_picture_t head = {why, 0, 0, 0, 0};

    picture_write(&head, sizeof(head));
    picture_exit();
}

static wagw_str_t picture_whole(void)
{
    size_t n, room = 1 << 20, have = 0;
    uint8_t *p = malloc(room), *more;

    while (p) {
        n = picture_read(p + have, room - have);
        have += n;
        if (have < room) {
            return wagw_str(p, have);
        }
        if (room >= PICTURE_FILE) {
            picture_refuse(NGX_WAGW_PICTURE_LARGE);
        }
        room *= 2;
        more = realloc(p, room);
        p = more;
    }
    picture_refuse(NGX_WAGW_PICTURE_LARGE);
}

/* ---- the small picture ---- */

static void picture_begin(uint32_t width, uint32_t height, uint64_t limit)
{
    uint64_t h;

    if (width == 0 || height == 0) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    if (width > PICTURE_SIDE || height > PICTURE_SIDE || (uint64_t)width * height > limit) {
        picture_refuse(NGX_WAGW_PICTURE_LARGE);
    }
    pic.width = width;
    pic.height = height;
    pic.w = pic.orientation >= 5 ? height : width;
    pic.h = pic.orientation >= 5 ? width : height;
    if (pic.square) {
        pic.x0 = pic.w > pic.h ? (pic.w - pic.h) / 2 : 0;
        pic.y0 = pic.h > pic.w ? (pic.h - pic.w) / 2 : 0;
        pic.w = pic.h = pic.w < pic.h ? pic.w : pic.h;
        pic.tw = pic.th = pic.w < SQUARE_SIDE ? pic.w : SQUARE_SIDE;
    } else {
        pic.tw = pic.w < THUMB_WIDTH ? pic.w : THUMB_WIDTH;
        h = ((uint64_t)pic.h * pic.tw + pic.w / 2) / pic.w;
        pic.th = h < 1 ? 1 : h > THUMB_HEIGHT ? THUMB_HEIGHT : (uint32_t)h;
    }
    pic.sum = calloc((size_t)pic.tw * pic.th, sizeof(*pic.sum));
    pic.count = calloc((size_t)pic.tw * pic.th, sizeof(*pic.count));
    if (pic.sum == NULL || pic.count == NULL) {
        picture_refuse(NGX_WAGW_PICTURE_LARGE);
    }
}

/* Where a stored pixel is seen. */
static void picture_turn(uint32_t x, uint32_t y, uint32_t *ox, uint32_t *oy)
{
    uint32_t rx = pic.width - 1 - x, ry = pic.height - 1 - y;

    switch (pic.orientation) {
    case 2:
        *ox = rx, *oy = y;
        break;
    case 3:
        *ox = rx, *oy = ry;
        break;
    case 4:
        *ox = x, *oy = ry;
        break;
    case 5:
        *ox = y, *oy = x;
        break;
    case 6:
        *ox = ry, *oy = x;
        break;
    case 7:
        *ox = ry, *oy = rx;
        break;
    case 8:
        *ox = y, *oy = rx;
        break;
    default:
        *ox = x, *oy = y;
    }
}

static void picture_row(uint32_t y, const uint8_t *rgb)
{
    size_t at;
    uint32_t ox, oy;

    for (uint32_t x = 0; x < pic.width; x++, rgb += 3) {
        picture_turn(x, y, &ox, &oy);
        if (ox < pic.x0 || ox - pic.x0 >= pic.w || oy < pic.y0 || oy - pic.y0 >= pic.h) {
            continue;
        }
        at = (size_t)((uint64_t)(oy - pic.y0) * pic.th / pic.h) * pic.tw +
             (size_t)((uint64_t)(ox - pic.x0) * pic.tw / pic.w);
        for (unsigned i = 0; i < 3; i++) {
            pic.sum[at][i] += rgb[i];
        }
        pic.count[at]++;
    }
}

/* ---- JPEG out ---- */

typedef struct {
    struct jpeg_error_mgr mgr;
    jmp_buf jump;
} picture_error_t;

typedef struct {
    struct jpeg_destination_mgr mgr;
    uint8_t buf[16384];
} picture_sink_t;

static void picture_jpeg_error(j_common_ptr c)
{
    longjmp(((picture_error_t *)c->err)->jump, 1);
}

static void picture_jpeg_quiet(j_common_ptr c)
{
    (void)c;
}

static void picture_sink_begin(j_compress_ptr c)
{
    picture_sink_t *s = (picture_sink_t *)c->dest;

    s->mgr.next_output_byte = s->buf;
    s->mgr.free_in_buffer = sizeof(s->buf);
}

static boolean picture_sink_full(j_compress_ptr c)
{
    picture_write(((picture_sink_t *)c->dest)->buf, sizeof(((picture_sink_t *)c->dest)->buf));
    picture_sink_begin(c);
    return TRUE;
}

static void picture_sink_end(j_compress_ptr c)
{
    picture_sink_t *s = (picture_sink_t *)c->dest;

    picture_write(s->buf, sizeof(s->buf) - s->mgr.free_in_buffer);
}

/* Into memory with mem, else to stdout. */
static bool picture_encode(uint32_t width, uint32_t height, int quality, void (*row)(uint32_t y, uint8_t *out),
                           unsigned char **mem, unsigned long *n)
{
    static picture_sink_t sink;
    uint8_t *line = malloc((size_t)width * 3);
    picture_error_t err;
    struct jpeg_compress_struct c;

    memset(&c, 0, sizeof(c));
    c.err = jpeg_std_error(&err.mgr);
    err.mgr.error_exit = picture_jpeg_error;
    err.mgr.output_message = picture_jpeg_quiet;
    if (line == NULL || setjmp(err.jump)) {
        return false; /* the process ends: nothing need be given back */
    }
    jpeg_create_compress(&c);
    if (mem) {
        jpeg_mem_dest(&c, mem, n);
    } else {
        sink.mgr.init_destination = picture_sink_begin;
        sink.mgr.empty_output_buffer = picture_sink_full;
        sink.mgr.term_destination = picture_sink_end;
        c.dest = &sink.mgr;
    }
    c.image_width = width;
    c.image_height = height;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        row(c.next_scanline, line);
        jpeg_write_scanlines(&c, &line, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return true;
}

static void picture_thumb_row(uint32_t y, uint8_t *out)
{
    size_t at = (size_t)y * pic.tw;

    for (uint32_t x = 0; x < pic.tw; x++, at++) {
        for (unsigned i = 0; i < 3; i++) {
            *out++ = pic.count[at] ? (uint8_t)(pic.sum[at][i] / pic.count[at]) : 255;
        }
    }
}

static void picture_turned_row(uint32_t oy, uint8_t *out)
{
    uint32_t x, y, ox, w = pic.orientation >= 5 ? pic.height : pic.width;

    for (ox = 0; ox < w; ox++, out += 3) {
        switch (pic.orientation) {
        case 2:
            x = pic.width - 1 - ox, y = oy;
            break;
        case 3:
            x = pic.width - 1 - ox, y = pic.height - 1 - oy;
            break;
        case 4:
            x = ox, y = pic.height - 1 - oy;
            break;
        case 5:
            x = oy, y = ox;
            break;
        case 6:
            x = oy, y = pic.height - 1 - ox;
            break;
        case 7:
            x = pic.width - 1 - oy, y = pic.height - 1 - ox;
            break;
        case 8:
            x = pic.width - 1 - oy, y = ox;
            break;
        default:
            x = ox, y = oy;
        }
        memcpy(out, pic.pixels + ((size_t)y * pic.width + x) * 3, 3);
    }
}

/* ---- JPEG in ---- */

typedef struct {
    struct jpeg_source_mgr mgr;
    uint8_t buf[16384];
} picture_source_t;

static void picture_source_none(j_decompress_ptr d)
{
    (void)d;
}

/* The end of what there is becomes the picture's end. */
static boolean picture_source_fill(j_decompress_ptr d)
{
    picture_source_t *s = (picture_source_t *)d->src;
    ssize_t n = read(0, s->buf, sizeof(s->buf));

    if (n <= 0) {
        s->buf[0] = 0xff;
        s->buf[1] = JPEG_EOI;
        n = 2;
    }
    s->mgr.next_input_byte = s->buf;
    s->mgr.bytes_in_buffer = (size_t)n;
    return TRUE;
}

static void picture_source_skip(j_decompress_ptr d, long n)
{
    struct jpeg_source_mgr *s = d->src;

    while (n > 0 && (size_t)n > s->bytes_in_buffer) {
        n -= (long)s->bytes_in_buffer;
        (void)picture_source_fill(d);
        if (s->bytes_in_buffer == 2 && s->next_input_byte[1] == JPEG_EOI) {
            return;
        }
    }
    if (n > 0) {
        s->next_input_byte += n;
        s->bytes_in_buffer -= (size_t)n;
    }
}

/* Four inks, as Adobe stores them: the more the lighter. */
static void picture_inks(const uint8_t *cmyk, uint8_t *rgb, uint32_t n)
{
    for (; n; n--, cmyk += 4, rgb += 3) {
        for (unsigned i = 0; i < 3; i++) {
            rgb[i] = (uint8_t)((unsigned)cmyk[i] * cmyk[3] / 255);
        }
    }
}

static void picture_jpeg(uint32_t *width, uint32_t *height)
{
    static picture_source_t src;
    uint8_t *row, *rgb;
    picture_error_t err;
    struct jpeg_decompress_struct d;

    memset(&d, 0, sizeof(d));
    d.err = jpeg_std_error(&err.mgr);
    err.mgr.error_exit = picture_jpeg_error;
    err.mgr.output_message = picture_jpeg_quiet;
    if (setjmp(err.jump)) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    jpeg_create_decompress(&d);
    src.mgr.init_source = picture_source_none;
    src.mgr.fill_input_buffer = picture_source_fill;
    src.mgr.skip_input_data = picture_source_skip;
    src.mgr.resync_to_restart = jpeg_resync_to_restart;
    src.mgr.term_source = picture_source_none;
    d.src = &src.mgr;
    jpeg_save_markers(&d, JPEG_APP0 + 1, 65533);

    jpeg_read_header(&d, TRUE);
    for (jpeg_saved_marker_ptr k = d.marker_list; k; k = k->next) {
        if (k->data_length > 6 && memcmp(k->data, "Exif\0\0", 6) == 0) {
            pic.orientation = wagw_media_orientation(wagw_str(k->data, k->data_length));
            break;
        }
    }
    if ((uint64_t)d.image_width * d.image_height > PICTURE_STREAM) {
        picture_refuse(NGX_WAGW_PICTURE_LARGE);
    }
    *width = d.image_width;
    *height = d.image_height;
    d.out_color_space = d.jpeg_color_space == JCS_CMYK || d.jpeg_color_space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
    d.scale_num = 1;
    d.scale_denom = d.image_width >= 8 * THUMB_WIDTH && d.image_height >= 8 * THUMB_WIDTH ? 8 : 1;
    while (pic.square && d.scale_denom > 1 &&
           (d.image_width / d.scale_denom < SQUARE_SIDE || d.image_height / d.scale_denom < SQUARE_SIDE)) {
        d.scale_denom /= 2;
    }
    d.dct_method = pic.square ? JDCT_ISLOW : JDCT_IFAST;
    jpeg_start_decompress(&d);
    picture_begin(d.output_width, d.output_height, PICTURE_STREAM);
    row = malloc((size_t)d.output_width * 4);
    rgb = malloc((size_t)d.output_width * 3);
    if (row == NULL || rgb == NULL) {
        picture_refuse(NGX_WAGW_PICTURE_LARGE);
    }
    while (d.output_scanline < d.output_height && jpeg_read_scanlines(&d, &row, 1) == 1) {
        if (d.output_components == 4) {
            picture_inks(row, rgb, d.output_width);
        }
        picture_row(d.output_scanline - 1, d.output_components == 4 ? rgb : row);
    }
}

/* ---- PNG ---- */

static void picture_png_read(png_structp png, png_bytep out, png_size_t n)
{
    if (picture_read(out, n) != n) {
        png_error(png, "cut off");
    }
}

static void picture_png_error(png_structp png, png_const_charp text)
{
    (void)text;
    png_longjmp(png, 1);
}

static void picture_png_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void picture_png_turn(png_structp png, png_infop info)
{
#ifdef PNG_eXIf_SUPPORTED
    png_bytep exif;
    png_uint_32 n;

    if (png_get_eXIf_1(png, info, &n, &exif)) {
        pic.orientation = wagw_media_orientation(wagw_str(exif, n));
    }
#endif
}

static void picture_png(void)
{
    int passes;
    uint32_t y;
    size_t bytes;
    uint8_t *rows, *row;
    png_infop info;
    png_color_16 white = {0, 0xffff, 0xffff, 0xffff, 0xffff};
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, picture_png_error, picture_png_warning);

    info = png ? png_create_info_struct(png) : NULL;
    if (info == NULL || setjmp(png_jmpbuf(png))) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff); /* ours say more than "bad" */
    png_set_read_fn(png, NULL, picture_png_read);
    png_read_info(png, info);
    picture_png_turn(png, info);
    picture_begin(png_get_image_width(png, info), png_get_image_height(png, info),
                  png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? PICTURE_STREAM : PICTURE_PIXELS);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    if (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA || png_get_valid(png, info, PNG_INFO_tRNS)) {
        png_set_background(png, &white, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1.0);
    }
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    bytes = png_get_rowbytes(png, info);
    rows = bytes == (size_t)pic.width * 3 ? malloc(passes > 1 ? bytes * pic.height : bytes) : NULL;
    if (rows == NULL) {
        png_error(png, "not for us");
    }
    for (; passes > 1; passes--) {
        for (y = 0; y < pic.height; y++) {
            png_read_row(png, rows + (size_t)y * bytes, NULL);
        }
    }
    for (y = 0; y < pic.height; y++) {
        row = png_get_interlace_type(png, info) == PNG_INTERLACE_NONE ? rows : rows + (size_t)y * bytes;
        png_read_row(png, row, NULL);
        picture_row(y, row);
    }
    png_read_end(png, NULL);
}

/* ---- what is in memory as a whole ---- */

static void picture_pixels(void)
{
    pic.pixels = malloc((size_t)pic.width * pic.height * 3);
    if (pic.pixels == NULL) {
        picture_refuse(NGX_WAGW_PICTURE_LARGE);
    }
    memset(pic.pixels, 255, (size_t)pic.width * pic.height * 3);
}

static void picture_rows(void)
{
    for (uint32_t y = 0; y < pic.height; y++) {
        picture_row(y, pic.pixels + (size_t)y * pic.width * 3);
    }
}

/* On white. */
static void picture_blend(uint8_t *rgb, const uint8_t *rgba, size_t n)
{
    for (; n; n--, rgb += 3, rgba += 4) {
        for (unsigned i = 0; i < 3; i++) {
            rgb[i] = (uint8_t)(((unsigned)rgba[i] * rgba[3] + 255U * (255U - rgba[3]) + 127) / 255);
        }
    }
}

static void picture_webp(void)
{
    uint8_t *rgba = NULL;
    wagw_str_t all = picture_whole();
    WebPData data = {all.p, all.n};
    WebPDemuxer *d;
    WebPIterator frame;
    WebPChunkIterator exif;
    size_t stride;

    d = WebPDemux(&data);
    if (d == NULL || !WebPDemuxGetFrame(d, 1, &frame)) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    if (WebPDemuxGetChunk(d, "EXIF", 1, &exif)) {
        pic.orientation = wagw_media_orientation(wagw_str(exif.chunk.bytes, exif.chunk.size));
    }
    pic.animated = (WebPDemuxGetI(d, WEBP_FF_FORMAT_FLAGS) & ANIMATION_FLAG) != 0;
    picture_begin(WebPDemuxGetI(d, WEBP_FF_CANVAS_WIDTH), WebPDemuxGetI(d, WEBP_FF_CANVAS_HEIGHT), PICTURE_PIXELS);
    /* the library checks that a frame lies within the canvas; we read as if it did not */
    if (!frame.complete || frame.x_offset < 0 || frame.y_offset < 0 || frame.width <= 0 || frame.height <= 0 ||
        (uint32_t)frame.x_offset + (uint32_t)frame.width > pic.width ||
        (uint32_t)frame.y_offset + (uint32_t)frame.height > pic.height) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    picture_pixels();
    stride = (size_t)frame.width * 4;
    rgba = malloc(stride * (size_t)frame.height);
    if (rgba == NULL) {
        picture_refuse(NGX_WAGW_PICTURE_LARGE);
    }
    if (WebPDecodeRGBAInto(frame.fragment.bytes, frame.fragment.size, rgba, stride * (size_t)frame.height,
                           (int)stride) == NULL) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    for (int y = 0; y < frame.height; y++) {
        picture_blend(pic.pixels + ((size_t)(y + frame.y_offset) * pic.width + (size_t)frame.x_offset) * 3,
                      rgba + (size_t)y * stride, (size_t)frame.width);
    }
    picture_rows();
}

static int picture_gif_read(GifFileType *g, GifByteType *p, int n)
{
    (void)g;
    return (int)picture_read(p, (size_t)n);
}

static void picture_gif_line(GifFileType *g, const ColorMapObject *map, int transparent, uint32_t y)
{
    GifPixelType line[65536];
    uint8_t *out = pic.pixels + ((size_t)(y + (uint32_t)g->Image.Top) * pic.width + (uint32_t)g->Image.Left) * 3;

    if (DGifGetLine(g, line, g->Image.Width) == GIF_ERROR) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    for (int x = 0; x < g->Image.Width; x++, out += 3) {
        if (line[x] < map->ColorCount && line[x] != transparent) {
            out[0] = map->Colors[line[x]].Red;
            out[1] = map->Colors[line[x]].Green;
            out[2] = map->Colors[line[x]].Blue;
        }
    }
}

static void picture_gif_image(GifFileType *g, int transparent)
{
    static const int from[4] = {0, 4, 2, 1}, step[4] = {8, 8, 4, 2};
    const ColorMapObject *map;
    uint32_t w, h;

    if (DGifGetImageDesc(g) == GIF_ERROR || g->Image.Left < 0 || g->Image.Top < 0 || g->Image.Width <= 0 ||
        g->Image.Height <= 0 || g->Image.Width > 65535) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    map = g->Image.ColorMap ? g->Image.ColorMap : g->SColorMap;
    if (map == NULL) {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    w = (uint32_t)g->Image.Left + (uint32_t)g->Image.Width;
    h = (uint32_t)g->Image.Top + (uint32_t)g->Image.Height;
    picture_begin(w > (uint32_t)g->SWidth ? w : (uint32_t)g->SWidth,
                  h > (uint32_t)g->SHeight ? h : (uint32_t)g->SHeight, PICTURE_PIXELS);
    picture_pixels();
    for (int pass = 0; pass < (g->Image.Interlace ? 4 : 1); pass++) {
        for (int y = g->Image.Interlace ? from[pass] : 0; y < g->Image.Height;
             y += g->Image.Interlace ? step[pass] : 1) {
            picture_gif_line(g, map, transparent, (uint32_t)y);
        }
    }
    picture_rows();
}

/* Its first picture. */
static void picture_gif(void)
{
    int error, code, transparent = NO_TRANSPARENT_COLOR;
    GifByteType *block;
    GifRecordType type;
    GraphicsControlBlock control;
    GifFileType *g = DGifOpen(NULL, picture_gif_read, &error);

    while (g && DGifGetRecordType(g, &type) != GIF_ERROR) {
        if (type == IMAGE_DESC_RECORD_TYPE) {
            picture_gif_image(g, transparent);
            return;
        }
        if (type != EXTENSION_RECORD_TYPE || DGifGetExtension(g, &code, &block) == GIF_ERROR) {
            break;
        }
        if (code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4 &&
            DGifExtensionToGCB(block[0], block + 1, &control) != GIF_ERROR) {
            transparent = control.TransparentColor;
        }
        while (block) {
            if (DGifGetExtensionNext(g, &block) == GIF_ERROR) {
                picture_refuse(NGX_WAGW_PICTURE_BAD);
            }
        }
    }
    picture_refuse(NGX_WAGW_PICTURE_BAD);
}

/* ---- the process ---- */

static void picture_limit(int what, rlim_t n)
{
    struct rlimit r = {n, n};

    (void)setrlimit((__rlimit_resource_t)what, &r);
}

static void picture_blank_row(uint32_t y, uint8_t *out)
{
    (void)y;
    memset(out, 0, 3);
}

/* From here on: read, write, exit.  Where the kernel does not offer that, the limits remain. */
static void picture_confine(void)
{
    unsigned char *mem = NULL;
    unsigned long n = 0;
    void *volatile heap = NULL;

    /* what libraries look up once */
    (void)picture_encode(1, 1, 50, picture_blank_row, &mem, &n);

    picture_limit(RLIMIT_CPU, PICTURE_SECONDS);
    picture_limit(RLIMIT_CORE, 0);
    picture_limit(RLIMIT_FSIZE, 0);
    picture_limit(RLIMIT_NOFILE, 0);
    picture_limit(RLIMIT_NPROC, 0);
    (void)prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef __SANITIZE_ADDRESS__
    (void)mallopt(M_MMAP_MAX, 0);
    (void)mallopt(M_TRIM_THRESHOLD, 0x7fffffff);
    heap = malloc(PICTURE_HEAP); /* volatile: the pair would be optimised away */
    free(heap);
    picture_limit(RLIMIT_DATA, 2 * (rlim_t)PICTURE_HEAP);
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
#endif
    (void)heap;
}

__attribute__((noreturn)) static void picture_run(const char *how)
{
    uint32_t magic = NGX_WAGW_PICTURE_MAGIC, width = 0, height = 0, swap;
    unsigned char *thumb = NULL;
    unsigned long n = 0;
    bool jpeg = strstr(how, " jpeg") != NULL;
    ngx_wagw_picture_t head = {NGX_WAGW_PICTURE_GOOD, 0, 0, 0, 0};

    pic.square = strstr(how, " square") != NULL;
    picture_confine();
    picture_write(&magic, sizeof(magic));
    pic.orientation = 1;
    if (strncmp(how, "jpg ", 4) == 0) {
        picture_jpeg(&width, &height);
    } else if (strncmp(how, "png ", 4) == 0) {
        picture_png();
    } else if (strncmp(how, "webp ", 5) == 0) {
        picture_webp();
    } else if (strncmp(how, "gif ", 4) == 0) {
        picture_gif();
    } else {
        picture_refuse(NGX_WAGW_PICTURE_BAD);
    }
    width = width ? width : pic.width;
    height = height ? height : pic.height;
    if (pic.orientation >= 5) {
        swap = width;
        width = height;
        height = swap;
    }
    if (!picture_encode(pic.tw, pic.th, pic.square ? SQUARE_QUALITY : THUMB_QUALITY, picture_thumb_row, &thumb, &n) ||
        n > (pic.square ? NGX_WAGW_PICTURE_SQUARE : NGX_WAGW_PICTURE_THUMBNAIL)) {
        n = 0;
    }
    head.width = width;
    head.height = height;
    head.animated = pic.animated;
    head.thumbnail = (uint32_t)n;
    picture_write(&head, sizeof(head));
    picture_write(thumb, n);
    if (jpeg && pic.pixels) {
        (void)picture_encode(width, height, PICTURE_QUALITY, picture_turned_row, NULL, NULL);
    }
    picture_exit();
}

char *ngx_wagw_picture_env[NGX_WAGW_PICTURE_ENVS + 1];

/* nginx throws its environment away before anybody could hand it on. */
static void picture_remember(void)
{
#ifdef __SANITIZE_ADDRESS__
    static const char *const names[NGX_WAGW_PICTURE_ENVS] = {"LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS"};
    const char *value;

    for (size_t i = 0, n = 0; i < NGX_WAGW_PICTURE_ENVS; i++) {
        value = getenv(names[i]);
        if (value && asprintf(&ngx_wagw_picture_env[n], "%s=%s", names[i], value) > 0) {
            n++;
        }
    }
#endif
}

/* Runs whenever the module is loaded, and does nothing more but in that process. */
__attribute__((constructor)) static void picture_main(void)
{
    const char *how = getenv(NGX_WAGW_PICTURE_ENV);

    picture_remember();
    if (how) {
        picture_run(how);
    }
}
