internal import BatchEngine
internal import Synchronization

/// Watches directories for files: what there is to read in each batch.
///
/// ## Isolation
/// Batches ask one after the other; calls block their thread.
package final class FileInput: Sendable {
    /// How directories are watched.
    package struct Configuration: Sendable {
        /// The directories.
        package var pattern: DirectoryPattern
        /// Whether files are read at any depth below them, not only directly in them.
        package var isRecursive = false
        /// Which paths are read, of those whose names do not begin with `_` or `.`.
        package var filter: @Sendable (String) -> Bool = { _ in true }
        /// By which rule files are new.
        package var detection = FileDetection.byAppearance
        /// Whether files that are there at the start are passed over.
        package var newFilesOnly = true
        /// The time between batches.
        package var batchInterval: Duration
        /// How old a file may be at least, by Spark's rule; rounded up to whole batches.
        package var minimumRemember: Duration
        /// The clock of batches; its time now is that of the start.
        package var clock: any StreamClock
        /// Where it is reported what is not read, and why.
        package var report: @Sendable (DiagnosticLevel, String) -> Void

        /// States how directories are watched; what is left has defaults.
        package init(
            pattern: DirectoryPattern, batchInterval: Duration, minimumRemember: Duration,
            clock: any StreamClock, report: @escaping @Sendable (DiagnosticLevel, String) -> Void
        ) {
            self.pattern = pattern
            self.batchInterval = batchInterval
            self.minimumRemember = minimumRemember
            self.clock = clock
            self.report = report
        }
    }

    /// What is known once a batch has its files; it counts once it is settled.
    struct Selected: Sendable {
        fileprivate(set) var selection: FileSelection
        /// What is dealt with, and in full in the directories it speaks of, or only added.
        fileprivate var tables: KnownFiles.Tables?
        fileprivate var isComplete = true
        /// Whether all files lie in directories that the checkpoint does not know.
        fileprivate var isElsewhere = false
        fileprivate var reports: [String] = []

        /// Learns which files a batch was given before a restart that no checkpoint speaks of.
        fileprivate mutating func learn(_ files: [ChosenFile]) {
            var tables: KnownFiles.Tables = [:]
            for file in files where file.directory != 0 {
                let key = KnownFiles.key(ofNameIn: file.path, file.inode)
                tables[file.directory, default: [:]][key] = KnownFiles.File(
                    print: file.print, birth: file.birth, state: .read)
            }
            self.tables = tables
            isComplete = false
        }
    }

    struct State {
        var selection: FileSelection
        /// Whether it resumes from an earlier run's.
        var isRestored = false
        /// Whether this run has not looked yet what is there, and an earlier one has.
        var isUnseen = false
        /// nil: it was not looked yet, and an earlier run left nothing of the kind.
        var known: KnownFiles?
        var progress = KnownFilesProgress()
        var shifts = ClockShifts()
        /// The problems that were reported and last.
        var reported: Set<String> = []
        /// Directories that something is being saved into, since when, and whether that was
        /// reported.
        var unfinished: [String: (since: BatchTime, isReported: Bool)] = [:]
    }

    private let configuration: Configuration
    let state: Locked<State>

    /// Makes an input that has read nothing.
    package init(_ configuration: Configuration) {
        self.configuration = configuration
        // A batch interval that cannot work has been recorded: such a graph does not start.
        let batches = try? BatchAlignment.numBatchesToRemember(
            minimum: configuration.minimumRemember, batchInterval: configuration.batchInterval)
        state = Locked(
            State(
                selection: FileSelection(
                    slide: configuration.batchInterval,
                    window: configuration.batchInterval * max(1, batches ?? 1),
                    start: configuration.newFilesOnly ? configuration.clock.now : .zero)))
    }

    /// By which rule files are new.
    var detection: FileDetection { configuration.detection }

    /// Which paths the remembered batches have read, oldest first: what a restart must know.
    package var batches: [FileSelection.Batch] { state.withLock { $0.selection.batches } }

    /// Looks what is there before the first batch of a run; blocks the thread.
    ///
    /// After a restart that is in the checkpoint; one that says nothing of it was written by an
    /// earlier version, or with another detection: then modification times say what is new.
    package func begin() {
        let (selection, isRestored, isKnown) = state.withLock {
            ($0.selection, $0.isRestored, $0.known != nil)
        }
        let newest = isRestored ? selection.batches.last?.time ?? selection.start : nil
        let shifts = observeClock(at: max(newest ?? .zero, configuration.clock.now))
        if isKnown { return }
        if newest == nil, !configuration.newFilesOnly {
            return state.withLock { $0.known = KnownFiles(detection) }
        }
        let listing = list(at: newest ?? selection.start)
        let limit = max(newest ?? selection.start, selection.start)
        let judgement = FileJudgement(
            start: listing, detection
        ) { entry in
            // All of it at a start: only by Spark's rule, times count then.
            if newest == nil, detection == .byAppearance { return true }
            return shifts.allSatisfy { entry.modified + $0 <= limit }
                || selection.hasRead(entry.path)
        }
        state.withLock { $0.known = KnownFiles(detection, tables: judgement.tables) }
        for (reason, passed) in judgement.passed.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            guard newest != nil, reason == .isOld else {
                configuration.report(.warning, passed.text(reason))
                continue
            }
            configuration.report(
                .warning,
                "the checkpoint does not say which files were there: \(passed.count) that were "
                    + "modified up to its latest batch, \(limit), count as read")
        }
    }

    /// The files of a batch that was asked for before; none when that is not remembered.
    func remembered(at batch: BatchTime) -> [FileSlice] {
        (state.withLock { $0.selection.files(of: batch) } ?? []).map(FileSlice.init)
    }

    /// What is known once a batch has its files, chosen now unless that was done before; nil: it has
    /// none, and may not choose any more.
    ///
    /// It counts once it is given to ``settle(_:at:)``.
    func selecting(
        at batch: BatchTime, isBegun: Bool, earlier choice: [ChosenFile]?, remembering: Duration
    ) -> Selected? {
        let (selection, known) = state.withLock { ($0.selection, $0.known) }
        var selected = Selected(selection: selection)
        selected.selection.prepare(for: batch, remembering: remembering)
        if selected.selection.files(of: batch) != nil { return selected }
        if let choice {
            selected.selection.adopt(choice, for: batch)
            selected.learn(choice)
        } else if !isBegun {
            return nil
        } else if !selected.selection.isPast(batch) {
            let shifts = observeClock(at: batch)
            let judgement = FileJudgement(
                list(at: batch), known: known ?? KnownFiles(detection),
                selection: selected.selection, batch: batch, shifts: shifts)
            selected.selection.adopt(judgement.chosen, for: batch)
            selected.tables = judgement.tables
            selected.isElsewhere = judgement.isElsewhere
            selected.reports = judgement.passed.sorted { $0.key.rawValue < $1.key.rawValue }
                .map { $1.text($0) }
        }
        return selected
    }

    /// Notes a selection and gives the files of its batch.
    func settle(_ selected: Selected, at batch: BatchTime) -> [FileSlice] {
        let isMoved = state.withLock { state in
            state.selection = selected.selection
            guard let tables = selected.tables else { return false }
            var known = state.known ?? KnownFiles(detection)
            state.known = nil
            let change =
                selected.isComplete
                ? known.take(tables, at: batch) : known.add(tables, at: batch)
            state.known = known
            state.progress.note(change)
            guard selected.isComplete else { return false }
            defer { state.isUnseen = false }
            return state.isUnseen && selected.isElsewhere
        }
        for text in selected.reports { configuration.report(.warning, text) }
        let files = selected.selection.files(of: batch) ?? []
        if isMoved {
            configuration.report(
                .warning,
                "of the directories whose files the checkpoint knows none is in "
                    + "\(configuration.pattern), so batch \(batch) reads all that is there: "
                    + "\(files.count) files. If another directory is to be watched, begin with an "
                    + "empty checkpoint directory")
        }
        return files.map(FileSlice.init)
    }

    // MARK: Looking

    /// By how much the clock of batches is, and was, ahead of the one that stamps files.
    private func observeClock(at batch: BatchTime) -> [Duration] {
        let reading = ClockShifts.reading(configuration.clock)
        let (step, shifts) = state.withLock { state in
            let window = state.selection.window
            return (state.shifts.observe(reading, at: batch, window: window), state.shifts.all)
        }
        if let step {
            let way = step < .zero ? "back" : "on"
            let length = step < .zero ? .zero - step : step
            configuration.report(
                .warning,
                "the machine's clock was set \(way) by \(length.prettyPrint()). Batches keep their "
                    + "times, and times of files are read by the new clock from batch \(batch) on")
        }
        return shifts
    }

    private func list(at batch: BatchTime) -> FileListing {
        let listing = FileListing(
            configuration.pattern, isRecursive: configuration.isRecursive,
            filter: configuration.filter)
        report(listing, at: batch)
        return listing
    }

    /// Reports what is wrong, once for as long as it is.
    private func report(_ listing: FileListing, at batch: BatchTime) {
        var problems = listing.problems
        if !listing.isDirectoryThere, problems.isEmpty, listing.files.isEmpty {
            problems.append(
                "\(configuration.pattern) is no directory yet; its files are read once it is there")
        }
        let news = state.withLock { state in
            let old = state.unfinished
            state.unfinished = [:]
            for directory in listing.unfinished {
                var wait = old[directory] ?? (since: batch, isReported: false)
                wait.isReported =
                    wait.isReported || batch - wait.since >= state.selection.window
                state.unfinished[directory] = wait
                guard wait.isReported else { continue }
                problems.append(
                    "\(directory) holds _temporary and no _SUCCESS: its files are read when saving "
                        + "has ended. If nothing is saved there any more, remove _temporary")
            }
            defer { state.reported = Set(problems) }
            return problems.filter { !state.reported.contains($0) }
        }
        for problem in news { configuration.report(.warning, problem) }
    }
}

extension FileInput {
    /// What a stream's checkpoint knows, and what it watches now.
    private struct Watched {
        let known: Set<UInt64>
        let found: [UInt64: String]
        let site: OperatorSite

        /// A directory of another stream's that is watched here, and was not before.
        func taken(from other: Set<UInt64>) -> String? {
            found.first { other.contains($0.key) && !known.contains($0.key) }?.value
        }
    }

    /// Refuses streams that would go on with what a checkpoint knows of one another's directories.
    static func refuseExchanged(_ inputs: [(input: FileInput, site: OperatorSite)]) throws {
        let all = inputs.map { input, site in
            let known = input.state.withLock { $0.known?.tables.keys }
            return Watched(
                known: Set(known.map(Array.init) ?? []), found: input.foundDirectories(), site: site
            )
        }
        for (number, this) in all.enumerated() {
            for other in all[(number + 1)...] {
                // One alone: the directory of a day becomes that of the day before.
                guard let path = this.taken(from: other.known), other.taken(from: this.known) != nil
                else { continue }
                throw StreamError(
                    .checkpointMismatch,
                    "\(path) was watched by another stream, now \(other.site), and one of that "
                        + "stream's is watched by this one: file streams are told by their order. "
                        + "Declare them in the order they had, or begin with an empty checkpoint "
                        + "directory", site: this.site)
            }
        }
    }

    /// The directories that are watched now, by their hashes.
    private func foundDirectories() -> [UInt64: String] {
        let paths = configuration.pattern.find().directories
        return paths.reduce(into: [:]) { found, path in
            guard let status = try? FileSystem.status(path) else { return }
            for key in [status.directoryKey(at: path), KnownFiles.key(path, 0)] {
                found[key] = path
            }
        }
    }
}

extension FileInput {
    /// Resumes from what an earlier run knew.
    func restore(
        start: BatchTime, _ batches: [FileSelection.Batch], _ known: KnownFiles?
    ) {
        state.withLock { state in
            state.selection = FileSelection(
                slide: state.selection.slide, window: state.selection.window, start: start,
                batches: batches)
            state.isRestored = true
            state.isUnseen = true
            // By another rule, other files count as dealt with.
            state.known = known?.detection == detection ? known : nil
        }
    }
}
