//! What a driver compiled, kept on the disk between runs.
//!
//! Most drivers keep it themselves, below the home folder; in a container there may be none that lasts, and some keep
//! nothing there. A file of ours holds what the driver gives away for this, one for each model and driver:
//!
//! | bytes | |
//! |---|---|
//! | 32 | SHA-256 of [`VERSION`] and the rest |
//! | rest | what wgpu gave: its header and the driver's data |
//!
//! A file that is damaged, of another version or somebody else's is as good as none, and is replaced. wgpu looks at model
//! and driver version in its header, the driver at its own in the data; neither looks for damage. What comes out of it is
//! tested as anything else that was compiled.

#![allow(unsafe_code, reason = "a driver is handed data that it gave to an earlier run")]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tracing::debug;

use super::device::Device;
use super::error::GpuError;
use crate::store::atomic::{AtomicFile, WriteError};

/// Of the format, and of the kernels: those of other versions would only take room.
const VERSION: &str = concat!("filecash pipelines 1, ", env!("CARGO_PKG_VERSION"), "\n");
/// Bytes of a digest.
const DIGEST: usize = 32;
/// Most bytes of a file. All kernels in one form have 1 MB on AMD's and 8 MB on Intel's GPUs.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes more that are nothing new: drivers align the same parts in another order.
const SLACK: usize = 1 << 10;

/// The pipelines of a device that its driver gives away, and their file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    pipelines: wgpu::PipelineCache,
    /// Bytes that the driver took or we tried to write.
    bytes: Mutex<usize>,
}

impl Kept {
    /// Hands the driver what is in the folder for it; `None` where drivers give nothing away.
    pub(super) fn open(device: &Device, adapter: &wgpu::AdapterInfo, folder: &Path) -> Option<Self> {
        if !device.wgpu.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder.join(file_name(adapter)?);
        let data =
            read(&path).inspect_err(|error| debug!(path = %path.display(), %error, "no pipelines were kept")).ok();
        // Data of another model is an error, whatever the fallback.
        let made = create(device, data.as_deref()).or_else(|_| create(device, None));
        let pipelines = made.inspect_err(|error| debug!(%error, "pipelines will not be kept")).ok()?;
        // Less than the file has where the driver has changed.
        let bytes = pipelines.get_data()?.len();
        debug!(path = %path.display(), read = data.map_or(0, |data| data.len()), taken = bytes, "pipelines kept");
        Some(Self { path, pipelines, bytes: Mutex::new(bytes) })
    }

    /// For the compilation of a pipeline.
    pub(super) fn pipelines(&self) -> &wgpu::PipelineCache {
        &self.pipelines
    }

    /// Writes the file if there is more than it has. Failing is no error: the next run compiles.
    pub(super) fn save(&self) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.pipelines.get_data().filter(|data| data.len() > *bytes + SLACK) else { return };
        *bytes = data.len();
        let path = self.path.display();
        match write(&self.path, &data) {
            Ok(()) => debug!(%path, bytes = data.len(), "pipelines were kept"),
            Err(error) => debug!(%path, %error, "pipelines were not kept"),
        }
    }
}

/// The driver's part, from what it gave to an earlier run.
fn create(device: &Device, data: Option<&[u8]>) -> Result<wgpu::PipelineCache, GpuError> {
    let descriptor = wgpu::PipelineCacheDescriptor { label: Some("kept"), data, fallback: true };
    device.scoped("pipelines of an earlier run", 0, || {
        // SAFETY: `read` gave the data: what `get_data` returned to an earlier run of this version, for its digest is right,
        // and who wrote it was this user or the system's, so that nobody has made it up who could not run code as this user
        // anyway.
        unsafe { device.wgpu.create_pipeline_cache(&descriptor) }
    })
}

/// Name of the file of a model and driver; `None` where drivers give nothing away.
fn file_name(adapter: &wgpu::AdapterInfo) -> Option<String> {
    let key = wgpu::util::pipeline_cache_key(adapter)?;
    // Two drivers of one model would take turns replacing each other's.
    let driver: String = adapter.driver.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(format!("{key}_{driver}.bin"))
}

fn digest(data: &[u8]) -> [u8; DIGEST] {
    Sha256::new_with_prefix(VERSION).chain_update(data).finalize().into()
}

/// The data of a file, if it is as [`write()`] left it and nobody else's.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    is_trusted(&file)?;
    let mut data = Vec::new();
    file.take(DIGEST as u64 + MOST_BYTES).read_to_end(&mut data)?;
    match data.split_first_chunk() {
        Some((kept, rest)) if *kept == digest(rest) => Ok(data.split_off(DIGEST)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "damaged, or of another version")),
    }
}

/// A driver believes what is in the file.
#[cfg(unix)]
fn is_trusted(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    match file.metadata()?.uid() {
        0 => Ok(()),
        owner if owner == rustix::process::geteuid().as_raw() => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::PermissionDenied, "written by another user")),
    }
}

/// A driver believes what is in the file; the folder is the user's.
#[cfg(not(unix))]
fn is_trusted(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Writes a file, or removes one that has grown too large, so that the next run begins anew.
fn write(path: &Path, data: &[u8]) -> Result<(), WriteError> {
    if data.len() as u64 > MOST_BYTES {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WriteError::at("remove", path)(error)),
            _ => Ok(()),
        };
    }
    if let Some(folder) = path.parent() {
        create_folder(folder).map_err(WriteError::at("create", folder))?;
    }
    let mut file = AtomicFile::create(path)?;
    file.write_all(&digest(data)).and_then(|()| file.write_all(data)).map_err(|source| file.error(source))?;
    file.commit()
}

/// Makes a folder that only its user may write to.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

#[cfg(test)]
mod tests {
    use super::super::{Adapter, Gpu, GpuLimits};
    use super::*;
    use filecash_shaders::field::Form;
    use filecash_shaders::kernels::Kernel;
    use std::thread;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn data_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/yet/a.bin");
        for len in [0, 1, 100_000] {
            write(&path, &data(len)).unwrap();
            assert_eq!(read(&path).unwrap(), data(len));
        }
        assert_eq!(names(path.parent().unwrap()), ["a.bin"]);
    }

    #[test]
    fn damaged_files_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        write(&path, &data(1000)).unwrap();
        let whole = fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{} bytes", bytes.len());
        };
        [0, 1, DIGEST - 1, DIGEST, 500, whole.len() - 1].into_iter().for_each(|len| damaged(&whole[..len]));
        for place in [0, DIGEST - 1, DIGEST, 500, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            damaged(&bytes);
        }
        damaged(&[whole.as_slice(), &[0]].concat());
        // One of another version.
        let other = Sha256::new_with_prefix("filecash pipelines 0\n").chain_update(data(9)).finalize();
        damaged(&[other.as_slice(), &data(9)].concat());
        write(&path, &data(1000)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn files_that_grew_too_large_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let large = vec![0; MOST_BYTES as usize + 1];
        write(&path, &large).unwrap();
        assert!(!path.exists());
        write(&path, &large[1..]).unwrap();
        assert_eq!(read(&path).unwrap().len(), large.len() - 1);
        fs::write(&path, [digest(&large).as_slice(), &large].concat()).unwrap();
        assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        write(&path, &large).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn writers_at_once_leave_a_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, &data(1)).unwrap();
        thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || (0..20).for_each(|i| write(path, &data(1000 * writer + i)).unwrap()));
            }
            (0..100).for_each(|_| assert!(read(&path).is_ok_and(|read| read == data(read.len()))));
        });
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[cfg(unix)]
    #[test]
    fn files_of_others_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, &data(9)).unwrap();
        // Only the system's user may give files away.
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            write(&path, &data(9)).unwrap();
            assert_eq!(read(&path).unwrap(), data(9));
        }
    }

    #[cfg(unix)]
    #[test]
    fn folder_is_its_users() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("new/a.bin"), &data(9)).unwrap();
        assert_eq!(fs::metadata(folder.path().join("new")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    /// On every adapter, whether its driver gives anything away or not.
    #[test]
    fn devices_take_what_they_gave_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // Not a folder at all, so that nothing can be read or written.
        let none = folder.path().join("file");
        fs::write(&none, b"").unwrap();
        for adapter in Adapter::all() {
            let Some(name) = file_name(&adapter.info()) else { continue };
            let path = folder.path().join(name);
            // Bytes that the driver took, and what it gave after compiling two kernels.
            let compiled = |folder: &Path| {
                let limits = GpuLimits { form: Some(Form::Narrow), ..GpuLimits::default() };
                let gpu = Gpu::open_with(&adapter, limits, Some(folder)).unwrap();
                let kept = gpu.pipelines.kept().expect("Vulkan has pipeline caches");
                let taken = *kept.bytes.lock().unwrap();
                gpu.pipelines.prepare(&gpu.device, [Kernel::ShaLevel, Kernel::Encode]);
                gpu.pipelines.save();
                (taken, kept.pipelines.get_data().unwrap())
            };
            let (nothing, given) = compiled(&none);
            let gives = given.len() > nothing + SLACK;
            assert_eq!(compiled(folder.path()).0, nothing);
            assert_eq!(path.exists(), gives);
            let taken = compiled(folder.path()).0;
            assert!(taken.abs_diff(given.len()) <= SLACK, "{taken} bytes of {}", given.len());
            let of_another_model = given.iter().enumerate().map(|(i, byte)| byte ^ u8::from(i == 31)).collect();
            for wrong in [data(0), data(5000), given[..given.len() / 2].to_vec(), of_another_model] {
                write(&path, &wrong).unwrap();
                assert_eq!(compiled(folder.path()).0, nothing);
                assert_eq!(read(&path).unwrap() != wrong, gives, "it is replaced");
            }
        }
    }
}
