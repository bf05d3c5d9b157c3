# font.mk - the framebuffer console's font, made from a font file that GRUB's packages bring. Nothing of it is kept in git.
FONT_PF2 ?= $(firstword $(wildcard /usr/share/grub/unicode.pf2 /usr/share/grub/ascii.pf2 /boot/grub/fonts/unicode.pf2 \
	/opt/homebrew/share/grub/unicode.pf2 /usr/local/share/grub/unicode.pf2))

$(B)/font.c: lib/host/mkfont.py $(FONT_PF2)
	@mkdir -p $(@D)
	$(Q)$(PYTHON) lib/host/mkfont.py $(FONT_PF2) > $@

$(B)/font.o: $(B)/font.c $(B)/flags.kernel
	$(Q)$(CC) $(KCFLAGS) -c -o $@ $<

KGENERATED += $(B)/font.o
