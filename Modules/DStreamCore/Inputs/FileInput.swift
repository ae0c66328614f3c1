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
        fileprivate var reports: [(level: DiagnosticLevel, text: String)] = []

        /// Takes files that a batch was given before a restart: what is at their paths is its own.
        ///
        /// - Parameter known: what is known of them; nil: it is not known which files they were.
        fileprivate mutating func take(
            again paths: [String], at batch: BatchTime, _ known: KnownFiles?,
            _ detection: FileDetection
        ) {
            var tables: KnownFiles.Tables = [:]
            for (path, directory, key, file) in FileListing.known(of: paths, detection) {
                tables[directory, default: [:]][key] = file
                // What cannot be looked at is reported by its reading.
                guard let known, file.print != 0, known.tables[directory]?[key]?.print != file.print
                else {
                    continue
                }
                reports.append(
                    (
                        .warning,
                        "\(path) is not the file that batch \(batch) was given before the "
                            + "restart: the batch reads what is there now, and no other one does. "
                            + "Leave files in place until their batch has completed"
                    ))
            }
            self.tables = tables
            isComplete = false
        }
    }

    struct State {
        var selection: FileSelection
        /// Whether it resumes from an earlier run's.
        var isRestored = false
        /// Batches that the earlier run has given their files, and this one not yet.
        var restored: Set<BatchTime> = []
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
            start: listing, detection, birth: FileListing.birth(of:)
        ) { entry in
            // All of it at a start: only by Spark's rule, times count then.
            if newest == nil, detection == .byAppearance { return true }
            return shifts.allSatisfy { entry.modified + $0 <= limit }
                || selection.hasRead(entry.path)
        }
        state.withLock { $0.known = KnownFiles(detection, tables: judgement.tables) }
        for (reason, passed) in judgement.passed.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            guard newest != nil, reason == .isOld else {
                configuration.report(.info, passed.text(reason))
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
        expand(state.withLock { $0.selection.paths(of: batch) } ?? [])
    }

    /// What is known once a batch has its files, chosen now unless that was done before; nil: it has
    /// none, and may not choose any more.
    ///
    /// It counts once it is given to ``settle(_:at:)``.
    func selecting(
        at batch: BatchTime, isBegun: Bool, earlier choice: [String]?, remembering: Duration
    ) -> Selected? {
        let (selection, known, restored) = state.withLock {
            ($0.selection, $0.known, $0.restored)
        }
        var selected = Selected(selection: selection)
        selected.selection.prepare(for: batch, remembering: remembering)
        if let paths = selected.selection.paths(of: batch) {
            if restored.contains(batch) { selected.take(again: paths, at: batch, known, detection) }
        } else if let choice {
            selected.selection.adopt(choice, for: batch)
            // Chosen after the last checkpoint: that does not say which files these were.
            selected.take(again: choice, at: batch, nil, detection)
        } else if !isBegun {
            return nil
        } else if !selected.selection.isPast(batch) {
            let shifts = observeClock(at: batch)
            let judgement = FileJudgement(
                list(at: batch), known: known ?? KnownFiles(detection),
                selection: selected.selection, batch: batch, shifts: shifts,
                birth: FileListing.birth(of:))
            selected.selection.adopt(judgement.chosen, for: batch)
            selected.tables = judgement.tables
            selected.reports = judgement.passed.sorted { $0.key.rawValue < $1.key.rawValue }
                .map { ($0.isUsual ? .info : .warning, $1.text($0)) }
        }
        return selected
    }

    /// Notes a selection and gives the files of its batch.
    func settle(_ selected: Selected, at batch: BatchTime) -> [FileSlice] {
        state.withLock { state in
            state.selection = selected.selection
            state.restored.remove(batch)
            guard let tables = selected.tables else { return }
            var known = state.known ?? KnownFiles(detection)
            state.known = nil
            let change =
                selected.isComplete
                ? known.take(tables, at: batch) : known.add(tables, at: batch)
            state.known = known
            state.progress.note(change)
        }
        for (level, text) in selected.reports { configuration.report(level, text) }
        return expand(selected.selection.paths(of: batch) ?? [])
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

    /// The files to read for the chosen paths: for a directory, which only earlier versions chose,
    /// those directly in it.
    private func expand(_ paths: [String]) -> [FileSlice] {
        paths.flatMap { path in
            do {
                let status = try FileSystem.status(path)
                guard let status, status.isDirectory else {
                    return [FileSlice(path: path, byteCount: status?.byteCount ?? 0)]
                }
                return try FileSystem.list(path).filter(FileSelection.isVisible).map { name in
                    let path = "\(path)/\(name)"
                    return FileSlice(
                        path: path, byteCount: try FileSystem.status(path)?.byteCount ?? 0)
                }
            } catch {
                // Its task fails with the reason, and the batch is run again with all its files.
                return [FileSlice(path: path, byteCount: 0)]
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
            state.restored = Set(batches.map(\.time))
            // By another rule, other files count as dealt with.
            state.known = known?.detection == detection ? known : nil
        }
    }
}
