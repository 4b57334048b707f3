/*
 * VFIO devices, against a kernel that writes down what it is asked and a host
 * that is a directory tree: why a function cannot be had, every call's number,
 * size and content, and that every one may fail without a trace.
 */
#include "fakes/space.h"
#include "fakes/sysfs_tree.h"
#include "fakes/vfio_kernel.h"
#include "unit.h"

#include <belfry/iommufd.h>
#include <belfry/vfio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FUNCTION "0000:01:00.0"

/* A host with one function, which VFIO lends. */
static void new_host(void)
{
	vfio_kernel_reset();
	tree_init();
	tree_put("bus/pci/drivers/vfio-pci/bind", "");
	tree_function("", FUNCTION, 3, "vfio-pci");
	tree_lend(FUNCTION, "vfio7");
}

static void opened(struct vfio_device *d)
{
	struct err e = { 0 };

	new_host();
	ck_assert_msg(!vfio_open(d, tree(), FUNCTION, &e), "%s", e.msg);
	vfio_kernel_forget();
}

static void done(struct vfio_device *d)
{
	vfio_close(d);
	vfio_close(d);
	tree_fini();
}

/* --- opening --- */

START_TEST(opens)
{
	int held = vfio_kernel_held(), at = 0;
	struct err e = { 0 };
	struct vfio_device d;

	new_host();
	ck_assert_msg(!vfio_open(&d, tree(), FUNCTION, &e), "%s", e.msg);
	ck_assert_str_eq(d.name, FUNCTION);
	vfio_kernel_expect(&at, "open /dev/vfio/devices/vfio7 0x80002", NULL);
	vfio_kernel_expect_end(at);
	done(&d);
	ck_assert_int_eq(vfio_kernel_held(), held);
}
END_TEST

/* Nothing is opened for it; what a look tells is what opening says. */
static void cannot(int code, const char *says)
{
	int held = vfio_kernel_held();
	struct err e = { 0 }, foreseen = { 0 };
	struct vfio_device d;

	ck_assert_int_eq(vfio_open(&d, tree(), FUNCTION, &e), code);
	ck_assert_int_eq(e.code, code);
	ck_assert_msg(strstr(e.msg, "device " FUNCTION ": "), "%s", e.msg);
	ck_assert_msg(strstr(e.msg, says), "not \"%s\": %s", says, e.msg);
	ck_assert_int_eq(d.fd, -1);
	vfio_close(&d);
	ck_assert_int_eq(vfio_check(tree(), FUNCTION, &foreseen), code);
	ck_assert_str_eq(foreseen.msg, e.msg);
	ck_assert_int_eq(vfio_kernel.lines, 0);
	ck_assert_int_eq(vfio_kernel_held(), held);
	ck_assert_uint_lt(strlen(e.msg), ERR_MSG_MAX - 1);
	tree_fini();
}

START_TEST(no_such_function)
{
	new_host();
	tree_remove("bus/pci/devices/" FUNCTION);
	cannot(-ENODEV, "none at that address");
}
END_TEST

START_TEST(bridges)
{
	new_host();
	tree_put("bus/pci/devices/" FUNCTION "/class", "0x060400\n");
	cannot(-EINVAL, "a bridge");
}
END_TEST

START_TEST(functions_without_an_iommu)
{
	vfio_kernel_reset();
	tree_init();
	tree_function("", FUNCTION, -1, "vfio-pci");
	tree_lend(FUNCTION, "vfio7");
	cannot(-ENODEV, "no IOMMU translates for it");

	vfio_kernel_reset();
	tree_init();
	tree_function("", FUNCTION, 3, "vfio-pci");
	tree_lend(FUNCTION, "noiommu-vfio7");
	cannot(-ENODEV, "no IOMMU translates for it");
}
END_TEST

START_TEST(functions_of_others)
{
	vfio_kernel_reset();
	tree_init();
	tree_function("", FUNCTION, 3, "igb");
	cannot(-ENODEV,
	       "this host uses it (driver igb): as root, `modprobe vfio-pci; "
	       "echo vfio-pci >/sys/bus/pci/devices/" FUNCTION
	       "/driver_override; echo " FUNCTION
	       " >/sys/bus/pci/drivers/igb/unbind; echo " FUNCTION
	       " >/sys/bus/pci/drivers_probe`");

	tree_init();
	tree_put("bus/pci/drivers/vfio-pci/bind", "");
	tree_function("", FUNCTION, 3, "");
	cannot(-ENODEV, "no driver lends it to guests: as root, `echo vfio-pci "
			">/sys/bus/pci/devices/" FUNCTION
			"/driver_override; echo " FUNCTION
			" >/sys/bus/pci/drivers_probe`");

	tree_init();
	tree_function("", FUNCTION, 3, "");
	tree_put("bus/pci/devices/" FUNCTION "/driver_override", "(null)\n");
	cannot(-ENODEV, "no driver lends it to guests");

	tree_init();
	tree_function("", FUNCTION, 3, "");
	tree_put("bus/pci/devices/" FUNCTION "/driver_override", "vfio-pci\n");
	cannot(-ENODEV, "as root, `modprobe vfio-pci; ");

	tree_init();
	tree_put("bus/pci/drivers/vfio-pci/bind", "");
	tree_function("", FUNCTION, 3, "");
	tree_put("bus/pci/devices/" FUNCTION "/driver_override", "vfio-pci\n");
	cannot(-ENODEV, "while a guest still uses it");
}
END_TEST

/* With the longest of names there is still room for all that is said. */
START_TEST(functions_with_long_names)
{
	static const char name[] = "7fffffff:ff:1f.7";
	struct err e = { 0 };

	vfio_kernel_reset();
	tree_init();
	tree_function("", name, 3, "a-driver-with-31-letters-in-all");
	ck_assert_int_eq(vfio_check(tree(), name, &e), -ENODEV);
	ck_assert_ptr_nonnull(strstr(
		e.msg,
		"/sys/bus/pci/drivers/a-driver-with-31-letters-in-all/unbind; "));
	ck_assert_ptr_nonnull(strstr(e.msg, "/sys/bus/pci/drivers_probe`"));
	tree_fini();
}
END_TEST

/* Another of VFIO's drivers is as good. */
START_TEST(drivers_of_vfios)
{
	struct err e = { 0 };
	struct vfio_device d;

	vfio_kernel_reset();
	tree_init();
	tree_function("", FUNCTION, 3, "mlx5_vfio_pci");
	cannot(-ENOTSUP, "CONFIG_VFIO_DEVICE_CDEV");

	tree_init();
	tree_function("", FUNCTION, 3, "nvgrace-gpu-vfio-pci");
	tree_lend(FUNCTION, "vfio0");
	tree_remove("bus/pci/devices/" FUNCTION "/vfio-dev/vfio0/dev");
	tree_put("bus/pci/devices/" FUNCTION "/vfio-dev/vfio0/uevent", "");
	cannot(-ENOTSUP, "CONFIG_VFIO_DEVICE_CDEV");

	tree_init();
	tree_function("", FUNCTION, 3, "nvgrace-gpu-vfio-pci");
	tree_lend(FUNCTION, "vfio0");
	ck_assert_int_eq(vfio_open(&d, tree(), FUNCTION, &e), 0);
	done(&d);
}
END_TEST

START_TEST(no_right_to_open)
{
	static const struct {
		int with;
		const char *says;
	} rows[] = {
		{ EACCES, "as root, `chown " },
		{ EPERM, "/dev/vfio/devices/vfio7`" },
		{ ENOENT, "there is no /dev/vfio/devices/vfio7" },
		{ ENODEV, "/dev/vfio/devices/vfio7: No such device" },
	};
	int held = vfio_kernel_held();
	struct err e = { 0 };
	struct vfio_device d;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		new_host();
		vfio_kernel.fail_at = 1;
		vfio_kernel.fail_with = rows[i].with;
		ck_assert_int_eq(vfio_open(&d, tree(), FUNCTION, &e),
				 -rows[i].with);
		ck_assert_msg(strstr(e.msg, rows[i].says), "%s", e.msg);
		ck_assert_int_eq(d.fd, -1);
		done(&d);
	}
	ck_assert_int_eq(vfio_kernel_held(), held);

	/* No node of that name here, either. */
	new_host();
	ck_assert_int_eq(vfio_check(tree(), FUNCTION, &e), -ENOENT);
	ck_assert_ptr_nonnull(
		strstr(e.msg, "there is no /dev/vfio/devices/vfio7"));
	tree_fini();
}
END_TEST

/* The tree's is 511:0, which is no device of this machine. */
START_TEST(adopts)
{
	static const char node[] =
		"bus/pci/devices/" FUNCTION "/vfio-dev/vfio7/dev";
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int pipe = eventfd(0, EFD_CLOEXEC);
	struct err e = { 0 };
	struct vfio_device d;

	new_host();
	tree_put(node, "1:5\n");
	ck_assert_msg(!vfio_check_fd(tree(), FUNCTION, zero, &e), "%s", e.msg);
	ck_assert_msg(!vfio_adopt(&d, tree(), FUNCTION, zero, &e), "%s", e.msg);
	ck_assert_str_eq(d.name, FUNCTION);
	ck_assert_int_eq(d.fd, zero);
	vfio_close(&d);
	ck_assert_int_eq(fcntl(zero, F_GETFD), -1);

	/* It is only half open, no character device, another one, not open,
	 * not lent. */
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(vfio_adopt(&d, tree(), FUNCTION, zero, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "is not open to both read and"));
	close(zero);
	ck_assert_int_eq(vfio_adopt(&d, tree(), FUNCTION, pipe, &e), -EINVAL);
	ck_assert_ptr_nonnull(
		strstr(e.msg,
		       "is not one of /dev/vfio/devices/vfio7: whoever"));
	ck_assert_int_eq(d.fd, -1);
	vfio_close(&d);
	ck_assert_int_ge(fcntl(pipe, F_GETFD), 0);
	ck_assert_int_eq(vfio_adopt(&d, tree(), FUNCTION, zero, &e), -EINVAL);
	zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	tree_put(node, "1:3\n");
	ck_assert_int_eq(vfio_adopt(&d, tree(), FUNCTION, zero, &e), -EINVAL);
	tree_function("", FUNCTION, 3, "igb");
	tree_remove("bus/pci/devices/" FUNCTION "/vfio-dev");
	ck_assert_int_eq(vfio_adopt(&d, tree(), FUNCTION, zero, &e), -ENODEV);
	ck_assert_int_eq(vfio_kernel.lines, 0);
	close(zero);
	close(pipe);
	tree_fini();
}
END_TEST

/* --- binding and attaching --- */

START_TEST(binds_and_attaches)
{
	struct err e = { 0 };
	struct vfio_device d;
	int at = 0;

	opened(&d);
	ck_assert_int_eq(vfio_bind(&d, 9, &e), 0);
	ck_assert_uint_eq(d.id, 1);
	ck_assert_int_eq(vfio_attach(&d, 0x55, &e), 0);
	ck_assert_int_eq(vfio_detach(&d, &e), 0);
	vfio_kernel_expect(&at, "BIND_IOMMUFD iommufd 0x9",
			   "ATTACH_IOMMUFD_PT pt 0x55", "DETACH_IOMMUFD_PT",
			   NULL);
	vfio_kernel_expect_end(at);
	done(&d);
}
END_TEST

static int refused_bind(struct vfio_device *d, struct err *e)
{
	return vfio_bind(d, 9, e);
}

static int refused_attach(struct vfio_device *d, struct err *e)
{
	return vfio_attach(d, 1, e);
}

static int refused_info(struct vfio_device *d, struct err *e)
{
	struct vfio_info i;

	return vfio_get_info(d, &i, e);
}

static int refused_region(struct vfio_device *d, struct err *e)
{
	struct vfio_region r;

	return vfio_get_region(d, 0, &r, e);
}

static int refused_map(struct vfio_device *d, struct err *e)
{
	struct vfio_region r = { .size = 0x4000, .at = 0 };
	void *at;

	return vfio_map(d, &r, 0x1000, 0x2000, &at, e);
}

static int refused_irq(struct vfio_device *d, struct err *e)
{
	struct vfio_irq q;

	return vfio_get_irq(d, VFIO_MSIX, &q, e);
}

static int refused_trigger(struct vfio_device *d, struct err *e)
{
	int none = -1;

	return vfio_irq_trigger(d, VFIO_MSIX, 0, &none, 1, e);
}

static int refused_disable(struct vfio_device *d, struct err *e)
{
	return vfio_irq_disable(d, VFIO_MSIX, e);
}

static int refused_unmask(struct vfio_device *d, struct err *e)
{
	return vfio_intx_unmask_by(d, 3, e);
}

static int refused_reset(struct vfio_device *d, struct err *e)
{
	return vfio_reset(d, e);
}

static int refused_neighbours(struct vfio_device *d, struct err *e)
{
	struct vfio_neighbours n;

	return vfio_get_neighbours(d, &n, e);
}

static int refused_hot_reset(struct vfio_device *d, struct err *e)
{
	return vfio_hot_reset(d, e);
}

static int refused_detach(struct vfio_device *d, struct err *e)
{
	return vfio_detach(d, e);
}

static const struct {
	int (*call)(struct vfio_device *d, struct err *e);
	int with;
	const char *names, *says;
} refusals[] = {
	{ refused_bind, EINVAL, "another program uses it", "/vfio" },
	{ refused_bind, EBUSY, "VFIO_DEVICE_BIND_IOMMUFD: ", "by its group" },
	{ refused_bind, EACCES, "VFIO_DEVICE_BIND_IOMMUFD: ", "token" },
	{ refused_bind, EAGAIN, "VFIO_DEVICE_BIND_IOMMUFD: ", "try again" },
	{ refused_bind, EPERM, "its IOMMU group", "allow_unsafe_interrupts=1" },
	{ refused_attach, EADDRINUSE,
	  "VFIO_DEVICE_ATTACH_IOMMUFD_PT: ", "reserved_regions" },
	{ refused_attach, EBUSY,
	  "VFIO_DEVICE_ATTACH_IOMMUFD_PT: ", "being reset" },
	{ refused_attach, EINVAL,
	  "VFIO_DEVICE_ATTACH_IOMMUFD_PT: ", "another SMMU" },
	{ refused_detach, EIO, "VFIO_DEVICE_DETACH_IOMMUFD_PT: ", "error" },
	{ refused_info, EIO, "VFIO_DEVICE_GET_INFO: ", "error" },
	{ refused_region, EINVAL, "VFIO_DEVICE_GET_REGION_INFO: ", "Invalid" },
	{ refused_map, EINVAL,
	  "mapping 0x2000 bytes at 0x1000 of a BAR: ", "Invalid" },
	{ refused_irq, EINVAL, "VFIO_DEVICE_GET_IRQ_INFO: ", "Invalid" },
	{ refused_trigger, EINVAL,
	  "VFIO_DEVICE_SET_IRQS: ", "no such vectors" },
	{ refused_trigger, ENOSPC, "VFIO_DEVICE_SET_IRQS: ", "not so many" },
	{ refused_trigger, ENOMEM, "VFIO_DEVICE_SET_IRQS: ", "no memory" },
	{ refused_disable, EINVAL,
	  "VFIO_DEVICE_SET_IRQS: switching off: ", "Invalid" },
	{ refused_unmask, ENOTTY, "VFIO_DEVICE_SET_IRQS: ", "ioctl" },
	{ refused_reset, EINVAL, "VFIO_DEVICE_RESET: ", "reset_method" },
	{ refused_reset, ENOTTY, "VFIO_DEVICE_RESET: ", "reset_method" },
	{ refused_reset, EAGAIN, "VFIO_DEVICE_RESET: ", "try again" },
	{ refused_neighbours, ENODEV,
	  "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: ", "cannot be reset" },
	{ refused_hot_reset, EINVAL,
	  "VFIO_DEVICE_PCI_HOT_RESET: ", "vfio-pci must have them all" },
	{ refused_hot_reset, EAGAIN,
	  "VFIO_DEVICE_PCI_HOT_RESET: ", "try again" },
};

START_TEST(refusals_say_what_to_do)
{
	struct vfio_device d;
	int held;

	opened(&d);
	held = vfio_kernel_held();
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct err e = { 0 };

		vfio_kernel_forget();
		vfio_kernel.fail_at = 1;
		vfio_kernel.fail_with = refusals[i].with;
		ck_assert_int_eq(refusals[i].call(&d, &e), -refusals[i].with);
		ck_assert_int_eq(e.code, -refusals[i].with);
		ck_assert_msg(strstr(e.msg, "device " FUNCTION ": ") == e.msg &&
				      strstr(e.msg, refusals[i].names) &&
				      strstr(e.msg, refusals[i].says),
			      "%zu: %s", i, e.msg);
		ck_assert_int_eq(vfio_kernel.lines, 1);
		ck_assert_int_eq(vfio_kernel_held(), held);
	}
	done(&d);
}
END_TEST

/* What is the matter with a group is in sysfs, not in the error. */
START_TEST(a_group_that_the_host_uses)
{
	struct err e = { 0 };
	struct vfio_device d;

	opened(&d);
	tree_function("", "0000:01:00.1", 3, "nvme");
	vfio_kernel.fail_at = 1;
	vfio_kernel.fail_with = EPERM;
	ck_assert_int_eq(vfio_bind(&d, 9, &e), -EPERM);
	ck_assert_str_eq(
		e.msg,
		"device 0000:01:00.0: the IOMMU cannot tell it from 0000:01:00.1, which this host uses (driver nvme): give vfio-pci all of /sys/kernel/iommu_groups/3/devices, or none");
	done(&d);
}
END_TEST

/* --- what the device is --- */

START_TEST(tells_what_it_is)
{
	struct err e = { 0 };
	struct vfio_device d;
	struct vfio_info i;
	struct vfio_irq q;
	int at = 0;

	opened(&d);
	ck_assert_int_eq(vfio_get_info(&d, &i, &e), 0);
	ck_assert(i.pci && i.reset && i.regions == 9 && i.irqs == 5);
	ck_assert_int_eq(vfio_get_irq(&d, VFIO_INTX, &q, &e), 0);
	ck_assert(q.count == 1 && q.eventfd && q.maskable && q.automasked &&
		  q.resizable);
	ck_assert_int_eq(vfio_get_irq(&d, VFIO_MSI, &q, &e), 0);
	ck_assert(!q.count && q.eventfd && !q.maskable && !q.automasked &&
		  !q.resizable);
	ck_assert_int_eq(vfio_get_irq(&d, VFIO_MSIX, &q, &e), 0);
	ck_assert(q.count == 10 && q.eventfd && q.resizable);
	vfio_kernel_expect(&at, "GET_INFO", "GET_IRQ_INFO index 0x0",
			   "GET_IRQ_INFO index 0x1", "GET_IRQ_INFO index 0x2",
			   NULL);
	vfio_kernel_expect_end(at);
	done(&d);
}
END_TEST

static void region(const struct vfio_device *d, u32 index,
		   struct vfio_region *r)
{
	struct err e = { 0 };

	memset(r, 0xff, sizeof(*r));
	ck_assert_msg(!vfio_get_region(d, index, r, &e), "%s", e.msg);
	ck_assert_uint_eq(r->at, (u64)index << 40);
}

START_TEST(regions)
{
	struct vfio_device d;
	struct vfio_region r;
	int at = 0;

	opened(&d);
	region(&d, 0, &r);
	ck_assert(r.size == 0x4000 && r.readable && r.writable);
	ck_assert(!r.areas && !r.msix_mappable);
	region(&d, 1, &r);
	ck_assert(!r.size && !r.readable && !r.writable && !r.areas);
	region(&d, 2, &r);
	ck_assert(r.areas == 1 && !r.area[0].off && r.area[0].size == 0x4000);
	ck_assert(!r.msix_mappable);
	region(&d, 4, &r);
	ck_assert(r.areas == 1 && r.area[0].size == 0x4000 && r.msix_mappable);
	region(&d, VFIO_CONFIG, &r);
	ck_assert(r.size == 4096 && !r.areas);
	vfio_kernel_expect(&at, "GET_REGION_INFO index 0x0",
			   "GET_REGION_INFO index 0x1",
			   "GET_REGION_INFO index 0x2",
			   "GET_REGION_INFO index 0x4",
			   "GET_REGION_INFO index 0x7", NULL);
	vfio_kernel_expect_end(at);
	done(&d);
}
END_TEST

/* A capability of @id at its offset, the next at @next. */
#define CAP(id, next) (id) | 1 << 16, next

static void capabilities(const struct vfio_device *d, const u32 *caps,
			 size_t len, struct vfio_region *r)
{
	vfio_kernel.caps = caps;
	vfio_kernel.caps_len = (u32)len;
	region(d, 2, r);
}

START_TEST(regions_that_map_in_parts)
{
	/* A type of no matter, two areas, the MSI-X table. */
	static const u32 caps[] = {
		CAP(2, 48), 0, 0,      CAP(1, 96), 2,      0, 0x1000,    0,
		0x1000,     0, 0x3000, 0,          0x1000, 0, CAP(3, 0),
	};
	/* None, though it can be mapped; and some beyond its end. */
	static const u32 none[] = { CAP(1, 0), 0, 0 };
	static const u32 beyond[] = { CAP(1, 0), 2, 0, 0x3000, 0, 0x1001,
				      0,         0, 0, 0x1000, 0 };
	struct vfio_device d;
	struct vfio_region r;

	opened(&d);
	capabilities(&d, caps, sizeof(caps), &r);
	ck_assert_uint_eq(r.areas, 2);
	ck_assert(r.area[0].off == 0x1000 && r.area[0].size == 0x1000);
	ck_assert(r.area[1].off == 0x3000 && r.area[1].size == 0x1000);
	ck_assert(r.msix_mappable);
	capabilities(&d, none, sizeof(none), &r);
	ck_assert(!r.areas && !r.msix_mappable);
	capabilities(&d, beyond, sizeof(beyond), &r);
	ck_assert_uint_eq(r.areas, 1);
	ck_assert(!r.area[0].off && r.area[0].size == 0x1000);
	done(&d);
}
END_TEST

/* More areas than have room; chains that lead back, or out of the answer. */
START_TEST(capabilities_that_are_odd)
{
	static const u32 back[] = { CAP(2, 32), 0, 0 };
	static const u32 out[] = { CAP(2, 4000), 0, 0 };
	static const u32 edge[] = { CAP(2, 1020), 0, 0 };
	static const u32 many_claimed[] = { CAP(1, 0), ~0u, 0 };
	const u32 *const rows[] = { back, out, edge };
	u32 many[4 + 4 * (VFIO_AREAS_MAX + 1)] = { CAP(1, 0),
						   VFIO_AREAS_MAX + 1, 0 };
	struct err e = { 0 };
	struct vfio_device d;
	struct vfio_region r;

	opened(&d);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		capabilities(&d, rows[i], sizeof(back), &r);
		ck_assert(r.areas == 1 && !r.msix_mappable);
	}
	for (u32 i = 0; i <= VFIO_AREAS_MAX; i++)
		many[4 + 4 * i + 2] = 0x100;
	capabilities(&d, many, sizeof(many), &r);
	ck_assert_uint_eq(r.areas, VFIO_AREAS_MAX);
	/* The rest of the answer is zero: areas of nothing, but no end. */
	capabilities(&d, many_claimed, sizeof(many_claimed), &r);
	ck_assert_uint_le(r.areas, VFIO_AREAS_MAX);

	vfio_kernel.caps_needed = 993;
	ck_assert_int_eq(vfio_get_region(&d, 2, &r, &e), -E2BIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "VFIO_DEVICE_GET_REGION_INFO"));
	vfio_kernel.caps_needed = 992;
	ck_assert_int_eq(vfio_get_region(&d, 2, &r, &e), 0);
	done(&d);
}
END_TEST

/* --- access --- */

START_TEST(reads_and_writes)
{
	struct vfio_device d;
	struct vfio_region r;
	int at = 0;
	u64 val;

	opened(&d);
	region(&d, VFIO_CONFIG, &r);
	vfio_kernel_forget();
	ck_assert_int_eq(vfio_write(&d, &r, 0x10, 8, 0x1122334455667788), 0);
	ck_assert_int_eq(vfio_write(&d, &r, 0x12, 1, 0xeeff), 0);
	for (u32 width = 1; width <= 8; width *= 2) {
		ck_assert_int_eq(vfio_read(&d, &r, 0x10, width, &val), 0);
		ck_assert_uint_eq(val, 0x1122334455ff7788 &
					       (~0ull >> (64 - 8 * width)));
	}
	ck_assert_int_eq(vfio_read(&d, &r, 4092, 4, &val), 0);
	vfio_kernel_expect(&at, "pwrite of 7 at 0x10 len 8",
			   "pwrite of 7 at 0x12 len 1",
			   "pread of 7 at 0x10 len 1",
			   "pread of 7 at 0x10 len 2",
			   "pread of 7 at 0x10 len 4",
			   "pread of 7 at 0x10 len 8",
			   "pread of 7 at 0xffc len 4", NULL);
	vfio_kernel_expect_end(at);
	done(&d);
}
END_TEST

START_TEST(where_nobody_answers)
{
	struct vfio_device d;
	struct vfio_region r;
	u64 val;

	opened(&d);
	region(&d, 0, &r);
	vfio_kernel_forget();
	val = 0;
	ck_assert_int_eq(vfio_read(&d, &r, 0x3ffd, 4, &val), -EINVAL);
	ck_assert_uint_eq(val, ~0u);
	ck_assert_int_eq(vfio_read(&d, &r, ~0ull, 1, &val), -EINVAL);
	ck_assert_uint_eq(val, 0xff);
	ck_assert_int_eq(vfio_write(&d, &r, 0x3ffd, 4, 0), -EINVAL);
	ck_assert_int_eq(vfio_kernel.lines, 0);

	vfio_kernel.cut = 1;
	ck_assert_int_eq(vfio_read(&d, &r, 0, 8, &val), -EIO);
	ck_assert_uint_eq(val, ~0ull);
	ck_assert_int_eq(vfio_write(&d, &r, 0, 2, 0), -EIO);
	vfio_kernel.cut = 0;
	vfio_kernel.fail_at = vfio_kernel.calls + 1;
	vfio_kernel.fail_with = EFAULT;
	ck_assert_int_eq(vfio_read(&d, &r, 0, 2, &val), -EFAULT);
	ck_assert_uint_eq(val, 0xffff);
	vfio_kernel.fail_at = vfio_kernel.calls + 1;
	ck_assert_int_eq(vfio_write(&d, &r, 0, 2, 0), -EFAULT);
	done(&d);
}
END_TEST

START_TEST(maps)
{
	int held, at = 0;
	struct err e = { 0 };
	struct vfio_device d;
	struct vfio_region r;
	void *p = NULL;
	u64 val;

	opened(&d);
	held = vfio_kernel_held();
	region(&d, 4, &r);
	vfio_kernel_forget();
	ck_assert_int_eq(vfio_map(&d, &r, 0x1000, 0x2000, &p, &e), 0);
	ck_assert_int_eq(vfio_kernel_held(), held + 1);
	((u8 *)p)[0x10] = 0x5a;
	ck_assert_int_eq(vfio_read(&d, &r, 0x1010, 1, &val), 0);
	ck_assert_uint_eq(val, 0x5a);
	vfio_unmap(p, 0x2000);
	ck_assert_int_eq(vfio_kernel_held(), held);
	r.writable = false;
	ck_assert_int_eq(vfio_map(&d, &r, 0, 0x1000, &p, &e), 0);
	vfio_unmap(p, 0x1000);
	/* PROT_READ 1, PROT_WRITE 2, MAP_SHARED 1, MAP_FIXED 16. */
	vfio_kernel_expect(&at,
			   "mmap of 4 at 0x1000 len 0x2000 prot 3 flags 17",
			   "pread of 4 at 0x1010 len 1",
			   "mmap of 4 at 0x0 len 0x1000 prot 1 flags 17", NULL);
	vfio_kernel_expect_end(at);
	done(&d);
}
END_TEST

/* Where blocks of KVM's can begin, our address agrees with the BAR's. */
START_TEST(maps_for_large_pages)
{
	static const struct {
		u64 size, off, align;
	} rows[] = {
		{ 0x1000, 0, 0x1000 },
		{ 0x4000, 0x3000, 0x4000 },
		{ 4 * MIB, 0, 4 * MIB },
		{ 4 * MIB, 2 * MIB + 0x1000, 4 * MIB },
		{ 6 * GIB, 2 * GIB + 0x1000, GIB },
	};
	struct err e = { 0 };
	struct vfio_device d;
	struct vfio_region r;
	u64 space;

	opened(&d);
	region(&d, 4, &r);
	mapped_pages();
	space = mapped_pages();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		void *p = NULL;

		r.size = rows[i].size;
		ck_assert_int_eq(vfio_map(&d, &r, rows[i].off, 0x1000, &p, &e),
				 0);
		ck_assert_uint_eq(((uintptr_t)p - rows[i].off) % rows[i].align,
				  0);
		ck_assert_uint_eq(mapped_pages(), space + 1);
		vfio_unmap(p, 0x1000);
		ck_assert_uint_eq(mapped_pages(), space);
	}
	vfio_kernel.fail_at = vfio_kernel.calls + 1;
	vfio_kernel.fail_with = ENODEV;
	ck_assert_int_eq(vfio_map(&d, &r, 0, 0x1000, &(void *) { NULL }, &e),
			 -ENODEV);
	ck_assert_uint_eq(mapped_pages(), space);
	done(&d);
}
END_TEST

/* --- interrupts --- */

/* Flags: no data 1, eventfds 4; mask 8, unmask 16, trigger 32. */
START_TEST(interrupts)
{
	static const int fds[] = { 11, -1, 12 };
	struct err e = { 0 };
	struct vfio_device d;
	int at = 0;

	opened(&d);
	ck_assert_int_eq(vfio_irq_trigger(&d, VFIO_MSIX, 0, fds, 3, &e), 0);
	ck_assert_int_eq(vfio_irq_trigger(&d, VFIO_MSIX, 7, fds + 1, 1, &e), 0);
	ck_assert_int_eq(vfio_irq_disable(&d, VFIO_MSIX, &e), 0);
	ck_assert_int_eq(vfio_irq_trigger(&d, VFIO_INTX, 0, fds, 1, &e), 0);
	ck_assert_int_eq(vfio_intx_mask(&d), 0);
	ck_assert_int_eq(vfio_intx_unmask(&d), 0);
	ck_assert_int_eq(vfio_intx_unmask_by(&d, 13, &e), 0);
	ck_assert_int_eq(vfio_intx_unmask_by(&d, -1, &e), 0);
	ck_assert_int_eq(vfio_irq_trigger(&d, VFIO_REQ, 0, fds + 2, 1, &e), 0);
	vfio_kernel_expect(
		&at,
		"SET_IRQS flags 0x24 index 0x2 start 0x0 count 0x3: 11 -1 12",
		"SET_IRQS flags 0x24 index 0x2 start 0x7 count 0x1: -1",
		"SET_IRQS flags 0x21 index 0x2 start 0x0 count 0x0",
		"SET_IRQS flags 0x24 index 0x0 start 0x0 count 0x1: 11",
		"SET_IRQS flags 0x9 index 0x0 start 0x0 count 0x1",
		"SET_IRQS flags 0x11 index 0x0 start 0x0 count 0x1",
		"SET_IRQS flags 0x14 index 0x0 start 0x0 count 0x1: 13",
		"SET_IRQS flags 0x14 index 0x0 start 0x0 count 0x1: -1",
		"SET_IRQS flags 0x24 index 0x4 start 0x0 count 0x1: 12", NULL);
	vfio_kernel_expect_end(at);

	for (int i = 0; i < 2; i++) {
		vfio_kernel_forget();
		vfio_kernel.fail_at = 1;
		vfio_kernel.fail_with = EINVAL;
		ck_assert_int_eq(i ? vfio_intx_mask(&d) : vfio_intx_unmask(&d),
				 -EINVAL);
	}
	done(&d);
}
END_TEST

/* Then it says how many it would have had, and that is no success. */
START_TEST(too_few_vectors)
{
	static const int fds[] = { 11, 12 };
	struct err e = { 0 };
	struct vfio_device d;

	opened(&d);
	vfio_kernel.irqs_result = 1;
	ck_assert_int_eq(vfio_irq_trigger(&d, VFIO_MSI, 0, fds, 2, &e),
			 -ENOSPC);
	ck_assert_ptr_nonnull(strstr(e.msg, "not so many vectors"));
	done(&d);
}
END_TEST

/* --- reset --- */

START_TEST(resets)
{
	static struct vfio_neighbours n;
	struct err e = { 0 };
	struct vfio_device d;
	int at = 0;

	opened(&d);
	ck_assert_int_eq(vfio_reset(&d, &e), 0);
	ck_assert_int_eq(vfio_get_neighbours(&d, &n, &e), 0);
	ck_assert(n.ours && n.nr == 3);
	ck_assert_str_eq(n.one[0].name, "0001:02:1f.5");
	ck_assert_str_eq(n.one[2].name, "0001:02:1f.7");
	ck_assert(n.one[0].ours && n.one[1].ours && n.one[2].ours);
	vfio_kernel.devid[1] = ~0u;
	ck_assert_int_eq(vfio_get_neighbours(&d, &n, &e), 0);
	ck_assert(!n.ours && n.one[0].ours && !n.one[1].ours && n.one[2].ours);
	ck_assert_int_eq(vfio_hot_reset(&d, &e), 0);
	vfio_kernel_expect(&at, "RESET", "GET_PCI_HOT_RESET_INFO",
			   "GET_PCI_HOT_RESET_INFO", "PCI_HOT_RESET", NULL);
	vfio_kernel_expect_end(at);

	vfio_kernel.neighbours = VFIO_NEIGHBOURS_MAX;
	ck_assert_int_eq(vfio_get_neighbours(&d, &n, &e), 0);
	ck_assert_uint_eq(n.nr, VFIO_NEIGHBOURS_MAX);
	vfio_kernel.neighbours++;
	ck_assert_int_eq(vfio_get_neighbours(&d, &n, &e), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(e.msg, "more functions"));
	done(&d);
}
END_TEST

/* --- all of it --- */

/* What stands when a device is passed through, in the order it is made. */
struct passenger {
	int iommufd;
	struct vfio_device d;
	u32 ioas, parent, viommu, nested, vdevice;
	struct iommufd_events events;
	struct vfio_region bar;
	void *mapped;
	int trigger;
};

static u8 memory[4096];
static const u64 abort_ste[2] = { 1, 0 };

static int make_tables(struct passenger *p, struct err *e)
{
	int err = iommufd_ioas_alloc(p->iommufd, &p->ioas, e);

	if (!err)
		err = iommufd_map(p->iommufd, p->ioas, 0x40000000, memory,
				  sizeof(memory), e);
	if (!err)
		err = iommufd_hwpt_alloc(p->iommufd, p->d.id, p->ioas, true,
					 &p->parent, e);
	if (!err)
		err = vfio_attach(&p->d, p->parent, e);
	return err;
}

static int make_smmu(struct passenger *p, struct err *e)
{
	struct iommufd_hw hw;
	int err = iommufd_get_hw(p->iommufd, p->d.id, &hw, e);

	if (!err)
		err = iommufd_viommu_alloc(p->iommufd, p->d.id, p->parent,
					   &p->viommu, e);
	if (!err)
		err = iommufd_events_alloc(p->iommufd, p->viommu, 16,
					   &p->events, e);
	if (!err)
		err = iommufd_vdevice_alloc(p->iommufd, p->viommu, p->d.id, 8,
					    &p->vdevice, e);
	if (!err)
		err = iommufd_hwpt_alloc_nested(p->iommufd, p->d.id, p->viommu,
						abort_ste, &p->nested, e);
	if (!err)
		err = vfio_attach(&p->d, p->nested, e);
	return err;
}

static int make_device(struct passenger *p, struct err *e)
{
	int err = vfio_get_region(&p->d, 4, &p->bar, e);

	if (!err)
		err = vfio_map(&p->d, &p->bar, 0, p->bar.size, &p->mapped, e);
	if (!err)
		err = vfio_irq_trigger(&p->d, VFIO_MSIX, 0, &p->trigger, 1, e);
	return err;
}

static int board(struct passenger *p, struct err *e)
{
	int err;

	*p = (struct passenger) { .d.fd = -1, .events.fd = -1 };
	p->trigger = eventfd(0, EFD_CLOEXEC);
	p->iommufd = iommufd_open(e);
	err = p->iommufd < 0 ? p->iommufd
			     : vfio_open(&p->d, tree(), FUNCTION, e);
	if (!err)
		err = vfio_bind(&p->d, p->iommufd, e);
	if (!err)
		err = make_tables(p, e);
	if (!err)
		err = make_smmu(p, e);
	if (!err)
		err = make_device(p, e);
	return err;
}

/* In the order that the kernel needs, also when half of it is there. */
static void alight(struct passenger *p)
{
	if (p->mapped)
		vfio_unmap(p->mapped, p->bar.size);
	if (p->events.fd >= 0)
		iommufd_events_free(p->iommufd, &p->events);
	if (p->vdevice)
		ck_assert_int_eq(iommufd_destroy(p->iommufd, p->vdevice), 0);
	vfio_close(&p->d);
	if (p->iommufd >= 0)
		close(p->iommufd);
	close(p->trigger);
}

/* Each call fails once: that is what is reported, the device or the call is
 * named, and nothing stays. */
START_TEST(every_call_may_fail)
{
	int held, err = -1;
	struct passenger p;

	new_host();
	held = vfio_kernel_held();
	for (int n = 1; err; n++) {
		struct err e = { 0 };

		vfio_kernel_reset();
		vfio_kernel.fail_at = n;
		vfio_kernel.fail_with = EIO;
		err = board(&p, &e);
		if (err) {
			ck_assert_int_eq(err, -EIO);
			ck_assert_int_eq(vfio_kernel.calls, n);
			ck_assert_msg(strstr(e.msg, FUNCTION) ||
					      strstr(e.msg, "IOMMU_") ||
					      strstr(e.msg, "/dev/iommu"),
				      "%s: %s", vfio_kernel.failed, e.msg);
		} else {
			ck_assert_int_eq(n, 16 + 1);
			vfio_kernel.fail_at = 0;
		}
		alight(&p);
		ck_assert_int_eq(vfio_kernel_held(), held);
	}
	tree_fini();
}
END_TEST

/* For the sandbox: ATTACH_IOMMUFD_PT, DETACH, SET_IRQS, RESET and
 * PCI_HOT_RESET. */
START_TEST(names_its_requests)
{
	static const unsigned long want[] = { 0x3b77, 0x3b78, 0x3b6e,
					      0x3b6f, 0x3b71, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_uint_eq(vfio_requests[i], want[i]);
}
END_TEST

UNIT_MAIN("vfio", opens, no_such_function, bridges, functions_without_an_iommu,
	  functions_of_others, functions_with_long_names, drivers_of_vfios,
	  no_right_to_open, adopts, binds_and_attaches, refusals_say_what_to_do,
	  a_group_that_the_host_uses, tells_what_it_is, regions,
	  regions_that_map_in_parts, capabilities_that_are_odd,
	  reads_and_writes, where_nobody_answers, maps, maps_for_large_pages,
	  interrupts, too_few_vectors, resets, every_call_may_fail,
	  names_its_requests)
