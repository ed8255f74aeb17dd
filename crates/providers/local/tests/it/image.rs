//! Images: tarballs, container images, who shares them.

use std::path::Path;

use grappe_value::Value;

use crate::lab::{Lab, sh, str_of};

/// A lab with a directory of its own: its images are small, and what is left of them can be counted.
fn lab(dir: &tempfile::TempDir) -> Lab {
    Lab::over(&dir.path().join("local"))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A root that is as small as one can be, with what must not be in two machines.
pub(crate) fn small_root(dir: &Path) {
    sh(&format!(
        "mkdir -p {0} && cd {0} && mkdir -p sbin etc/ssh etc/systemd/system usr/lib/sysctl.d dev tmp && echo '#!' > sbin/init && chmod 755 sbin/init &&
         echo secret > etc/ssh/ssh_host_rsa_key && echo 1234 > etc/machine-id && ln -s ../run/x etc/resolv.conf &&
         echo 'kernel.panic = 1' > usr/lib/sysctl.d/50-x.conf && mknod dev/null c 1 3 && chown 12:34 sbin/init",
        dir.display()
    ));
}

#[test]
fn every_compression_is_unpacked_and_prepared() {
    let dir = folder();
    let mut lab = lab(&dir);
    let root = dir.path().join("r");
    small_root(&root);
    for (end, program) in [("", "cat"), (".gz", "gzip"), (".xz", "xz"), (".zst", "zstd -q")] {
        let file = dir.path().join(format!("root.tar{end}"));
        sh(&format!("tar -C {} -c . | {program} > {}", root.display(), file.display()));
        let sum = sh(&format!("sha256sum < {}", file.display()));
        let sum = sum.split(' ').next().unwrap();
        let args = [("tarball", Value::from(file.to_str().unwrap())), ("sha256", sum.into())];
        let image = lab.create("local_image", end, &args);
        assert_eq!(str_of(&image, "id"), format!("sha256:{sum}"));
        let there = Path::new(str_of(&image, "path"));
        let text = |script: &str| sh(&format!("cd {} && {script}", there.display()));
        assert_eq!(text("stat -c %u:%g:%a sbin/init"), "12:34:755\n");
        assert_eq!(text("ls etc/ssh dev"), "dev:\n\netc/ssh:\n");
        assert_eq!(
            text("readlink etc/systemd/system/console-getty.service etc/sysctl.d/50-x.conf"),
            "/dev/null\n/dev/null\n"
        );
        assert_eq!(
            text("stat -c '%F %s' etc/machine-id etc/resolv.conf"),
            "regular empty file 0\nregular empty file 0\n"
        );
        assert_eq!(text("stat -c %a . tmp"), "755\n1777\n");
    }
    let args = [("tarball", Value::from("root.tar")), ("sha256", "0".repeat(64).as_str().into())];
    sh(&format!("cp {}/root.tar {}", dir.path().display(), lab.path().display()));
    let fault = lab.try_create("local_image", "sum", &args).unwrap_err();
    assert!(fault.summary.contains("not 0000"), "{fault}");
    sh(&format!(
        "head -c 300 {0}/root.tar.xz > {0}/half.tar; mkdir {0}/e; tar -C {0}/e -cf {0}/empty.tar .; rmdir {0}/e",
        dir.path().display()
    ));
    for (file, wanted) in
        [("half.tar", "can't unpack"), ("empty.tar", "no /sbin/init"), ("none.tar", "can't read")]
    {
        let path = dir.path().join(file);
        let fault =
            lab.try_create("local_image", file, &[("tarball", path.to_str().unwrap().into())]).unwrap_err();
        assert!(fault.summary.contains(wanted) && fault.hint.is_some(), "{fault}");
        assert!(
            lab.bench(file)
                .adopt("local_image", &Value::object([("tarball", Value::from(path.to_str().unwrap()))]))
                .is_none_or(|left| { lab.try_delete("local_image", file, &left).is_ok() })
        );
    }
}

#[test]
fn an_image_is_shared_and_goes_with_its_last_owner() {
    let dir = folder();
    let mut lab = lab(&dir);
    small_root(&dir.path().join("r"));
    sh(&format!("tar -C {0}/r -cf {0}/root.tar .", dir.path().display()));
    let file = dir.path().join("root.tar");
    let args = [("tarball", Value::from(file.to_str().unwrap()))];
    let one = lab.create("local_image", "one", &args);
    let two = lab.create("local_image", "two", &args);
    assert!(one.same(&two));
    lab.delete("local_image", "one", &one);
    assert!(lab.bench("two").read("local_image", &two).unwrap().same(&two));
    lab.delete("local_image", "two", &two);
    assert!(lab.bench("two").read("local_image", &two).is_none());
    assert_eq!(sh(&format!("ls {}/local", dir.path().display())), "lock\n");
    lab.delete("local_image", "two", &two);
}

/// Two layers, of which the second hides files and a folder's content, and puts a link where a folder was.
#[test]
fn container_images_are_laid_layer_over_layer() {
    let dir = folder();
    let mut lab = lab(&dir);
    let at = dir.path().display();
    small_root(&dir.path().join("r"));
    sh(&format!(
        "cd {at} && mkdir -p r/gone r/opaque/old r/changed/x && echo 1 > r/etc/kept && echo 1 > r/etc/hidden && echo 1 > r/opaque/a && ln -s /etc r/out &&
         mkdir -p s/etc s/opaque s/out && echo 2 > s/etc/new && : > s/etc/.wh.hidden && : > s/.wh.gone && : > s/opaque/.wh..wh..opq && echo 2 > s/opaque/b &&
         ln -s etc s/changed && : > s/out/.wh.passwd &&
         mkdir -p i/blobs/sha256 && tar -C r -c . | gzip > one && tar -C s -c . > two"
    ));
    let expected = "kept new";
    let check = |lab: &mut Lab, key: &str, file: &str| {
        let image = lab.create(
            "local_image",
            key,
            &[("oci_archive", Value::from(dir.path().join(file).to_str().unwrap()))],
        );
        let root = str_of(&image, "path").to_owned();
        let text = |script: &str| sh(&format!("cd {root} && {script}"));
        assert_eq!(text("cd etc && echo kept* hidden* new*").trim().replace("hidden* ", ""), expected);
        assert_eq!(text("ls opaque; ls -d gone 2>/dev/null || true"), "b\n");
        assert_eq!(text("readlink changed"), "etc\n");
        assert_eq!(text("find . -name '.wh.*'"), "");
        assert!(Path::new("/etc/passwd").exists());
        assert_eq!(
            sh(&format!("ls {root}/.. | sort | tr '\\n' ' '")),
            "owners programs record.json root unpacking "
        );
    };
    // OCI's layout, behind an index of platforms.
    sh(&format!(
        r#"cd {at} && blob() {{ s=$(sha256sum < "$1" | cut -d' ' -f1); cp "$1" i/blobs/sha256/$s; echo sha256:$s; }}
        one=$(blob one) two=$(blob two)
        echo '{{"schemaVersion":2,"layers":[{{"digest":"'$one'"}},{{"digest":"'$two'"}}]}}' > m; m=$(blob m)
        arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
        echo '{{"manifests":[{{"digest":"sha256:00","platform":{{"architecture":"s390x"}}}},{{"digest":"'$m'","platform":{{"architecture":"'$arch'"}}}}]}}' > x; x=$(blob x)
        echo '{{"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"'$x'"}}]}}' > i/index.json
        tar -C i -cf oci.tar . "#
    ));
    check(&mut lab, "oci", "oci.tar");
    // What docker save writes.
    sh(&format!(
        r#"cd {at} && mkdir -p d/1 d/2 && cp one d/1/layer.tar && cp two d/2/layer.tar && echo '[{{"Config":"c.json","Layers":["1/layer.tar","2/layer.tar"]}}]' > d/manifest.json &&
        tar -C d -cf saved.tar manifest.json 1 2"#
    ));
    check(&mut lab, "saved", "saved.tar");
    let fault = lab
        .try_create(
            "local_image",
            "no",
            &[("oci_archive", Value::from(dir.path().join("two").to_str().unwrap()))],
        )
        .unwrap_err();
    assert!(fault.summary.contains("neither manifest.json nor index.json"), "{fault}");
    let left =
        lab.bench("no").adopt("local_image", &Value::object([("oci_archive", Value::from("x"))])).unwrap();
    lab.delete("local_image", "no", &left);
}
