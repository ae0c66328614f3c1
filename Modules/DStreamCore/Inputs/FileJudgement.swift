/// What a batch makes of a listing: which files it reads, and which it passes over and why.
///
/// Fed with what is there, it reads neither disk nor clock.
package struct FileJudgement {
    /// Why a file is not read, or not yet.
    package enum Reason: Int, Sendable, Hashable, CaseIterable {
        /// It was there at the start.
        case isOld
        /// It was there at the start, and has changed.
        case oldHasChanged
        /// It has changed since it was read.
        case hasChanged
        /// The same in the directory of a saved batch.
        case wasSavedAgain
        /// It is too old, by Spark's rule.
        case tooOld
        /// It was modified in the future.
        case inFuture
        /// It is a directory.
        case isDirectory
        /// It is a file where a directory was to be.
        case isNoDirectory
    }

    /// The files of one reason.
    package struct Passed: Sendable {
        /// Some of them.
        package var examples: [String] = []
        package var count = 0
    }

    /// How many files of a reason are named.
    private static let exampleMaximum = 3
    /// How far ahead of its batch a file is reported to be.
    private static let futureTolerance = Duration.seconds(10)
    /// How many files of a directory are kept, beyond those that cannot be looked at, while it is not
    /// known which of those they are.
    private static let unseenAllowance = 1000
    /// Under which directory things are known that lie in none that is watched.
    private static let outside = KnownFiles.key("", 0)

    /// The files to read.
    package private(set) var chosen: [ChosenFile] = []
    /// All that is dealt with, in the directories that were listed.
    package private(set) var tables: KnownFiles.Tables = [:]
    /// What is not read, as far as it was not known before.
    package private(set) var passed: [Reason: Passed] = [:]
    /// Whether files are known, and all that are there lie in directories that nothing is known of.
    package private(set) var isElsewhere = false

    private let known: KnownFiles

    /// Judges what a batch finds.
    package init(
        _ listing: FileListing, known: KnownFiles, selection: FileSelection, batch: BatchTime,
        shifts: [Duration]
    ) {
        self.init(known)
        let directories = Set(listing.directories.flatMap { [$0.key, $0.unsavedKey ?? $0.key] })
        let absent = known.tables.filter {
            $0.key != Self.outside && !directories.contains($0.key)
        }
        isElsewhere =
            known.detection == .byAppearance && !absent.isEmpty
            && listing.directories.contains { !$0.files.isEmpty }
        for directory in listing.directories {
            let old = knowledge(of: directory) ?? moved(directory, from: absent)
            if old != nil { isElsewhere = false }
            var files = noted(directory.directories, .isDirectory, in: directory.key)
            for entry in directory.files {
                switch known.detection {
                case .byAppearance: judge(entry, in: directory, old ?? [:], &files)
                case .byModificationTime:
                    judge(entry, in: directory, old ?? [:], &files, selection, batch, shifts)
                }
            }
            keep(directory.unseen.count + directory.hiddenCount, of: old ?? [:], &files)
            tables[directory.key] = files
        }
        tables[Self.outside] = noted(listing.files, .isNoDirectory, in: Self.outside)
    }

    /// Judges what is there at the start, or was before a restart.
    ///
    /// - Parameter isKnown: which files no batch is to read any more.
    init(
        start listing: FileListing, _ detection: FileDetection,
        isKnown: (FileSelection.Entry) -> Bool
    ) {
        self.init(KnownFiles(detection))
        for directory in listing.directories {
            var files = noted(directory.directories, .isDirectory, in: directory.key)
            let unseen = directory.unseen.map(FileSelection.Entry.init(unseen:))
            for entry in directory.files + unseen where isKnown(entry) {
                let isByName = directory.isSaved || detection == .byModificationTime
                let key = KnownFiles.key(of: entry, isSaved: isByName)
                files[key] = KnownFiles.File(entry, .passed)
                pass(entry.path, .isOld)
            }
            tables[directory.key] = files
        }
        tables[Self.outside] = noted(listing.files, .isNoDirectory, in: Self.outside)
    }

    private init(_ known: KnownFiles) { self.known = known }

    /// What is known of a directory that is known.
    private mutating func knowledge(
        of directory: FileListing.Directory
    ) -> [UInt64: KnownFiles.File]? {
        let own = known.tables[directory.key]
        guard let key = directory.unsavedKey, let unsaved = known.tables[key] else { return own }
        tables[key] = [:]
        return unsaved.merging(own ?? [:]) { $1 }
    }

    /// What is known of a directory that had another path before: of the files in it that are those
    /// which were there.
    private mutating func moved(
        _ directory: FileListing.Directory, from absent: KnownFiles.Tables
    ) -> [UInt64: KnownFiles.File]? {
        var found: [UInt64: KnownFiles.File] = [:]
        for (place, table) in absent {
            let before = found.count
            for entry in directory.files {
                let key = KnownFiles.key(of: entry, isSaved: directory.isSaved)
                guard let file = table[key], file.isSame(as: entry, byName: directory.isSaved)
                else { continue }
                found[key] = file
            }
            // Should it be back there some day, what was read here has been read.
            if found.count > before, !directory.isSaved { tables[place] = [:] }
        }
        return found.isEmpty ? nil : found
    }

    /// By what was there before.
    private mutating func judge(
        _ entry: FileSelection.Entry, in directory: FileListing.Directory,
        _ old: [UInt64: KnownFiles.File], _ files: inout [UInt64: KnownFiles.File]
    ) {
        let (byName, byInode) = (
            KnownFiles.key(ofNameIn: entry.path), KnownFiles.key(ofNameIn: entry.path, entry.inode)
        )
        let isSaved = directory.isSaved
        // What was read before it was known that a batch was saved here, or after, is known too.
        let candidates = isSaved ? [byName, byInode] : [byInode, byName]
        let key = candidates.first { old[$0] != nil } ?? candidates[0]
        let isOther =
            old[key].map { key == byInode && $0.isOther(than: entry) } ?? true
        guard var file = old[key], !isOther else {
            // A file, or another one that was given the number of the one that was there.
            if files[candidates[0]] == nil { choose(entry, in: directory, isFixed: !isSaved) }
            files[candidates[0]] = KnownFiles.File(entry, .read)
            return
        }
        if file.print != entry.print {
            if file.state == .read || file.state == .passed {
                let isOld = file.state == .passed
                let isAgain = isSaved && !isOld
                pass(entry.path, isOld ? .oldHasChanged : isAgain ? .wasSavedAgain : .hasChanged)
                file.state = .changed
            }
            file.print = entry.print
        }
        files[isSaved ? byName : key] = file
    }

    private mutating func choose(
        _ entry: FileSelection.Entry, in directory: FileListing.Directory, isFixed: Bool
    ) {
        chosen.append(ChosenFile(entry, in: directory.key, isFixed: isFixed))
    }

    /// Keeps what may be known of paths that cannot be looked at: their hashes are not known, and
    /// what is forgotten would be read again.
    private func keep(
        _ unseen: Int, of old: [UInt64: KnownFiles.File], _ files: inout [UInt64: KnownFiles.File]
    ) {
        if unseen == 0 { return }
        let missing = old.filter { files[$0.key] == nil }
        let limit = unseen + Self.unseenAllowance
        if missing.count <= limit { return files.merge(missing) { new, _ in new } }
        for key in missing.keys.sorted().prefix(limit) { files[key] = missing[key] }
    }

    /// By Spark's rule.
    private mutating func judge(
        _ entry: FileSelection.Entry, in directory: FileListing.Directory,
        _ known: [UInt64: KnownFiles.File], _ files: inout [UInt64: KnownFiles.File],
        _ selection: FileSelection, _ batch: BatchTime, _ shifts: [Duration]
    ) {
        let key = KnownFiles.key(ofNameIn: entry.path)
        let old = known[key]
        let isSame = old?.print == entry.print
        if selection.hasRead(entry.path) {
            var file = old ?? KnownFiles.File(entry, .read)
            if old != nil, !isSame, file.state != .changed {
                pass(entry.path, .hasChanged)
                file.state = .changed
            }
            files[key] = file
            return
        }
        if let old, isSame, old.state != .waits {
            files[key] = old
            return
        }
        switch selection.verdict(on: entry.modified, for: batch, shifts: shifts) {
        case .due:
            if files[key]?.state != .read { choose(entry, in: directory, isFixed: false) }
            files[key] = KnownFiles.File(entry, .read)
        case .waits(let wait) where wait > max(Self.futureTolerance, selection.slide):
            if old?.state != .waits || !isSame { pass(entry.path, .inFuture) }
            files[key] = KnownFiles.File(entry, .waits)
        case .waits: break
        case .tooOld:
            pass(entry.path, .tooOld)
            files[key] = KnownFiles.File(entry, .passed)
        }
    }

    /// Passes over paths once each.
    private mutating func noted(
        _ paths: [String], _ reason: Reason, in directory: UInt64
    ) -> [UInt64: KnownFiles.File] {
        var files: [UInt64: KnownFiles.File] = [:]
        for path in paths {
            let key = KnownFiles.key(path, .max)
            if known.tables[directory]?[key] == nil { pass(path, reason) }
            files[key] = KnownFiles.File(print: 0, birth: 0, state: .passed)
        }
        return files
    }

    private mutating func pass(_ path: String, _ reason: Reason) {
        passed[reason, default: Passed()].count += 1
        if passed[reason, default: Passed()].examples.count < Self.exampleMaximum {
            passed[reason, default: Passed()].examples.append(path)
        }
    }
}

extension KnownFiles {
    /// The hash by which a file is known.
    static func key(of entry: FileSelection.Entry, isSaved: Bool) -> UInt64 {
        key(ofNameIn: entry.path, isSaved ? 0 : entry.inode)
    }
}

extension KnownFiles.File {
    /// Whether it is a file that has its name, and its number unless that is not compared.
    fileprivate func isSame(as entry: FileSelection.Entry, byName: Bool) -> Bool {
        guard birth == entry.birth else { return false }
        // The number and the birth are enough; without one of them, length and time must be the same.
        return birth != 0 && !byName || print == entry.print && (birth != 0 || !byName)
    }

    /// Whether it was made at another time than a file with its number.
    fileprivate func isOther(than entry: FileSelection.Entry) -> Bool {
        birth != 0 && entry.birth != 0 && birth != entry.birth
    }

    fileprivate init(_ entry: FileSelection.Entry, _ state: KnownFiles.State) {
        self.init(print: entry.print, birth: entry.birth, state: state)
    }
}

extension FileJudgement.Passed {
    /// What is reported.
    func text(_ reason: FileJudgement.Reason) -> String {
        let more = count > examples.count ? " and \(count - examples.count) more" : ""
        return examples.joined(separator: ", ") + more + ": " + reason.text
    }
}

extension FileJudgement.Reason {
    /// The reason, and the way out.
    fileprivate var text: String {
        switch self {
        case .isOld:
            "there before the start, so not read. To read such files pass newFilesOnly: false to "
                + "fileStream, or move them in again under other names"
        case .oldHasChanged:
            "there at the start and changed since, so not read. Write files elsewhere and rename "
                + "them into the directory when they are complete"
        case .hasChanged:
            "changed after a batch had chosen it, and not read again. Write files elsewhere, rename "
                + "them into the directory when they are complete, and what is added as a file of "
                + "another name"
        case .wasSavedAgain:
            "written again after a batch had chosen it, beside _SUCCESS, and not read again. Save "
                + "other data into a directory of its own"
        case .tooOld:
            "modified before the start, or longer ago than fileStreamMinimumRemember, so not read. "
                + "Set its time (touch), or fileStreamDetection to .byAppearance"
        case .inFuture:
            "modified in the future, and read when batches have come to that time. Set the clocks, "
                + "or fileStreamDetection to .byAppearance"
        case .isDirectory:
            "a directory, so its files are not read. Pass recursive: true, or watch a pattern such "
                + "as DIR/*"
        case .isNoDirectory:
            "a file where the pattern stands for directories, so not read. Watch the directory, "
                + "and choose names with the filter of fileStream"
        }
    }
}
