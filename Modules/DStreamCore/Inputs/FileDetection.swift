/// How file streams find out what is new in their directories.
///
/// Either way a file must appear complete, written elsewhere in the same file system and renamed; a
/// file that is not read, though it is there and has no name that hides it, is reported once, with
/// the reason.
public enum FileDetection: Sendable, Hashable, CaseIterable {
    /// What was not there before and is there now is read by the next batch, whatever its times: the
    /// default.
    ///
    /// A file is known by its name and its inode, in its directory. One that grows or changes after a
    /// batch had chosen it is not read again; another file that takes its name is, by a batch of its
    /// own: the batch that had chosen the first one, and has not read it yet, fails. About 40 bytes of memory are used for each
    /// file that is in the directories now, and forgotten when it leaves them.
    ///
    /// Needs a file system whose inodes stay what they are, as those of local disks and of NFS do.
    case byAppearance
    /// Spark's rule: what was modified after the start, no longer ago than
    /// `fileStreamMinimumRemember` and not after the batch, is read unless a batch within that time
    /// has read the path.
    ///
    /// Steps of this machine's clock are followed; clocks of other machines must agree with it.
    case byModificationTime
}
